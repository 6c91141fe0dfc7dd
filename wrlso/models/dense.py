"""Dense layers and tables of rows, as matrix products whose precision can be chosen.

``compute`` is the type in which a product's factors are multiplied, None for their own. Sums
are always kept in the factors' own type. ``jnp.bfloat16`` doubles the speed of training
where the processor has products for it, at three digits a factor.
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax

Compute = Any
"""A floating-point type, or None."""


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def product(x: Array, kernel: Array, compute: Compute = None) -> Array:
    """``x [..., I] @ kernel [I, O]``; so are its gradients computed."""
    return contract(x, kernel, x.ndim - 1, 0, compute)


def _product_forward(
    x: Array, kernel: Array, compute: Compute
) -> tuple[Array, tuple[Array, Array]]:
    return product(x, kernel, compute), (x, kernel)


def _product_backward(
    compute: Compute, saved: tuple[Array, Array], bar: Array
) -> tuple[Array, Array]:
    x, kernel = saved
    flat, flat_bar = (a.reshape(-1, a.shape[-1]) for a in (x, bar))
    x_bar = contract(bar, kernel, bar.ndim - 1, 1, compute)
    return x_bar.astype(x.dtype), contract(flat, flat_bar, 0, 0, compute).astype(kernel.dtype)


product.defvjp(_product_forward, _product_backward)


def contract(a: Array, b: Array, axis_a: int, axis_b: int, compute: Compute = None) -> Array:
    """The sum over one axis of each, in float32 where the factors have less."""
    out = jnp.promote_types(jnp.result_type(a, b), jnp.float32)
    a, b = (factor.astype(compute or jnp.result_type(a, b)) for factor in (a, b))
    return lax.dot_general(a, b, (((axis_a,), (axis_b,)), ((), ())), preferred_element_type=out)


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def lookup(table: Array, rows: Array, compute: Compute = None) -> Array:
    """``table [N, H]`` at integer ``rows [...]``. The gradient is a matrix product: for some
    hundred rows many times faster on a CPU than to add row by row."""
    return table[rows]


def _lookup_forward(
    table: Array, rows: Array, compute: Compute
) -> tuple[Array, tuple[Array, Array]]:
    return table[rows], (table, rows)


def _lookup_backward(
    compute: Compute, saved: tuple[Array, Array], bar: Array
) -> tuple[Array, None]:
    table, rows = saved
    picked = jax.nn.one_hot(rows.reshape(-1), len(table), dtype=compute or bar.dtype)
    return contract(picked, bar.reshape(-1, bar.shape[-1]), 0, 0, compute).astype(table.dtype), None


lookup.defvjp(_lookup_forward, _lookup_backward)


def init_dense(key: Array, inputs: int, outputs: int) -> dict[str, Array]:
    """LeCun-normal kernel ``[I, O]``, zero bias ``[O]``, in float32."""
    kernel = jax.nn.initializers.lecun_normal()(key, (inputs, outputs), jnp.float32)
    return {"kernel": kernel, "bias": jnp.zeros(outputs, jnp.float32)}


def dense(layer: dict[str, Array], x: Array, compute: Compute = None) -> Array:
    """``x [..., I] -> [..., O]``."""
    return with_bias(product(x, layer["kernel"], compute), layer["bias"])


def with_bias(x: Array, bias: Array) -> Array:
    """``x [..., O]`` plus ``bias [O]``."""
    return x + bias.reshape(*[1] * (x.ndim - 1), -1)
