"""Products that decide where to look are computed at full precision on every device.

An accelerator multiplies float32 in a shorter type unless a product says otherwise: its ten bits
would cost a posterior's variance all digits. A CPU cannot show it, so the programs are read.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.extend.core import jaxprs_in_params

from benchmarks.speed.gp_problems import draw_problem, standard_surrogate
from tests.test_transformations import CASES, cast, score, stacked
from wrlso.proposers.bayesian import _rank, optimize
from wrlso.proposers.bo_config import BOConfig

MODELS = ("elbo.", "flow.")
"""The generative model's products have the precision that the program's user chose for JAX."""

FULL = (jax.lax.Precision.HIGHEST,) * 2


def products(jaxpr):
    """The precisions of all products of floating-point numbers in a program."""
    for eqn in jaxpr.eqns:
        if eqn.primitive.name == "dot_general" and jnp.issubdtype(
            eqn.outvars[0].aval.dtype, jnp.floating
        ):
            yield eqn.params["precision"]
        for inner in jaxprs_in_params(eqn.params):
            yield from products(inner)


def traced(function, *arguments):
    return list(products(jax.make_jaxpr(function)(*arguments).jaxpr))


def test_a_short_product_is_seen():
    x = jnp.ones((3, 3))
    assert traced(jax.jit(lambda x: (x @ x, jnp.matmul(x, x, precision="highest"))), x) == [
        None,
        FULL,
    ]


@pytest.mark.parametrize("name", [name for name in CASES if not name.startswith(MODELS)])
def test_functions_and_their_slopes_multiply_at_full_precision(name):
    case = CASES[name]
    arrays = cast(case, jnp.float32)

    def everything(*arrays):
        if "grad" in case.reasons:
            return case.function(*arrays)
        slopes = jax.grad(score(case.function), range(len(arrays)))(*arrays)
        return slopes, jax.jvp(case.function, arrays, arrays)

    assert set(traced(jax.vmap(everything), *stacked(arrays))) <= {FULL}


def test_an_ask_multiplies_at_full_precision():
    surrogate = standard_surrogate(draw_problem(np.random.default_rng(0), 20, 3))
    config = BOConfig(starts=2, candidates=6)
    asked = traced(lambda key: optimize(key, surrogate, config), jax.random.key(0))
    ranked = traced(lambda x: _rank(surrogate, config, x, 3), jnp.ones((6, 3)))
    assert set(asked) == {FULL}
    assert set(ranked) == {FULL}
