"""A quotient of which every derivative is finite where it has room."""

import jax
from jax import Array, lax


@jax.custom_jvp
def ratio(a: Array, b: Array) -> Array:
    """``a / b``; ``b`` is positive. No part of a derivative overflows where the whole does not.

    XLA would compute a quotient of quotients, ``(a / b) / b``, as ``a / b^2``, and the square of a
    small number is zero.
    """
    return lax.optimization_barrier(a / b)


@ratio.defjvp
def _ratio_jvp(primals: tuple[Array, Array], tangents: tuple[Array, Array]) -> tuple[Array, Array]:
    found = ratio(*primals)
    slope = ratio(found, primals[1])
    return found, ratio(tangents[0], primals[1]) - slope * tangents[1]
