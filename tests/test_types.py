"""Models in 64-bit mode, in strict modes, and under another default generator.

Types and shapes are checked where a program is traced, so most of this compiles nothing.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.ringtree_cases import vocabulary
from wrlso.chem.ringtree.tables import make_tables
from wrlso.models import conv
from wrlso.models.dense import lookup, product
from wrlso.models.gru import GRU, gru_states, init_gru, over_steps
from wrlso.tasks.expression import model
from wrlso.tasks.expression.evaluate import log_mse_scores, same_values
from wrlso.tasks.expression.grammar import parse
from wrlso.tasks.molecule.machine import make_machine
from wrlso.tasks.molecule.vae import Sizes, make_vae


def molecule_vae(computes=None):
    machine = make_machine(make_tables(vocabulary()), 16)
    sizes = Sizes(3, 4, 6, 8, 4, 2, properties=1)
    return make_vae(machine, 12, sizes, **({"compute": computes} if computes else {}))


OBJECTS = {
    "feedback": np.zeros((2, 15), np.uint8),
    "paper": np.zeros((2, 15), np.uint8),
    "molecules": np.zeros((2, 12), np.uint16),
}
MODELS = {
    "feedback": lambda: model.make_vae("feedback", 3),
    "paper": lambda: model.make_vae("paper", 3, "majority"),
    "molecules": molecule_vae,
}
BOTH = pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])


def shapes(name, dtype):
    """Shapes and types of parameters, results and gradients, with parameters of a type."""
    vae, objects = MODELS[name](), OBJECTS[name]

    def everything(key):
        params = vae.init(key)
        assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves(params))
        params = jax.tree.map(lambda p: p.astype(dtype), params)

        def loss(params, objects):
            mean, log_std = vae.encode(params, objects)
            return (vae.log_likelihood(params, mean + jnp.exp(log_std), objects)).sum()

        mean, log_std = vae.encode(params, objects)
        slopes = jax.grad(loss)(params, jnp.asarray(objects))
        return params, mean, log_std, slopes, loss(params, objects), vae.decode(params, mean)

    return jax.eval_shape(everything, jax.random.key(0))


@BOTH
@pytest.mark.parametrize("name", MODELS)
def test_models_follow_the_type_of_their_parameters(name, dtype):
    with jax.enable_x64(True):
        *numbers, decoded = shapes(name, dtype)
    assert {leaf.dtype for leaf in jax.tree.leaves(numbers)} == {jnp.dtype(dtype)}
    assert decoded.dtype == OBJECTS[name].dtype


@pytest.mark.parametrize("name", MODELS)
def test_models_rely_on_no_promotion(name):
    """Of axes nowhere, of types in 64-bit mode, too."""
    for double in (False, True):
        with (
            jax.enable_x64(double),
            jax.numpy_rank_promotion("raise"),
            jax.numpy_dtype_promotion("strict"),
        ):
            shapes(name, jnp.float32)


def test_a_model_computes_no_nan():
    with jax.debug_nans(True):
        vae = MODELS["feedback"]()
        params = vae.init(jax.random.key(0))
        mean, _ = vae.encode(params, jnp.asarray(OBJECTS["feedback"]))
        vae.decode(params, mean)


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16, jnp.float32, jnp.float64])
def test_gradients_have_the_type_of_what_they_belong_to(dtype):
    """Of every function with a rule of its own; JAX checks them only under ``jit``, and late."""
    with jax.enable_x64(dtype == jnp.float64):
        gru = jax.tree.map(lambda a: a.astype(dtype), init_gru(jax.random.key(0), 3, 2))
        x, start = jnp.ones((4, 5, 3), dtype), jnp.zeros((5, 2), dtype)
        image, kernel = jnp.ones((1, 4, 4, 2), dtype), jnp.ones((3, 3, 2, 1), dtype)
        rows = jnp.array([0, 2])
        for function, arrays in (
            (product, (x[0], gru.input)),
            (lambda table: lookup(table, rows), (gru.input,)),
            (lambda *a: gru_states(GRU(*a[:4]), a[4], a[5]), (*gru, start, x)),
            (over_steps, (x,)),
            (conv.conv, (image, kernel)),
        ):
            slopes = jax.eval_shape(
                jax.grad(lambda *a, f=function: f(*a).sum().astype(dtype), range(len(arrays))),
                *arrays,
            )
            assert [s.dtype for s in slopes] == [dtype] * len(arrays)


def test_decoding_does_not_depend_on_the_default_generator():
    vae = MODELS["paper"]()
    params, latents = vae.init(jax.random.key(0)), jax.random.normal(jax.random.key(1), (6, 3))
    expected = jax.jit(vae.decode)(params, latents)
    with jax.default_prng_impl("rbg"):
        found = jax.jit(lambda p, z: vae.decode(p, z))(params, latents)
    np.testing.assert_array_equal(found, expected)


def test_expressions_are_scored_in_strict_modes():
    derivations = np.zeros((4, 15), np.uint8)
    # The last one is undefined where its sine is that of infinity.
    for row, text in enumerate(("1 / 3 + x", "x * x", "1 / 3 + (x)", "sin(exp(exp(exp(x))))")):
        steps = parse(text)
        derivations[row] = np.pad(steps, (0, 15 - len(steps)), constant_values=model.NOTHING)
    with (
        jax.debug_nans(True),
        jax.numpy_rank_promotion("raise"),
        jax.numpy_dtype_promotion("strict"),
    ):
        scores = log_mse_scores(jnp.asarray(derivations), np.array(parse("x * x"), np.uint8))
        same = np.asarray(same_values(jnp.asarray(derivations)))
    assert scores[1] == 0
    assert scores[3] == -7
    np.testing.assert_array_equal(same[0], same[2])
    assert (same[0] != same[1]).any()
