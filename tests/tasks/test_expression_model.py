"""The grammar VAEs: likelihoods that sum to one, decodes that are derivations."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from wrlso.data import Dataset
from wrlso.models.elbo import constant_beta
from wrlso.models.training import minibatches, train
from wrlso.tasks import expressions
from wrlso.tasks.expression.data import sample_expressions
from wrlso.tasks.expression.grammar import MAX_STEPS, NOTHING, PRODUCTIONS, decode, encode
from wrlso.tasks.expression.model import SYMBOLS, make_vae
from wrlso.tasks.expression.rules import completions, is_complete
from wrlso.weighting.ranks import uniform_weights

ARCHITECTURES = ["feedback", pytest.param("paper", marks=pytest.mark.slow)]


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("decoding", ["argmax", "majority"])
def test_decodes_are_derivations_and_independent_of_the_batch(architecture, decoding):
    vae = make_vae(architecture, decoding=decoding)
    params = vae.init(jax.random.key(0))
    z = 3 * jax.random.normal(jax.random.key(1), (40, 25))
    decodes = jax.jit(vae.decode)(params, z)
    assert decodes.shape == (40, MAX_STEPS)
    assert decodes.dtype == jnp.uint8
    np.testing.assert_array_equal(jax.jit(vae.decode)(params, z[7:9]), decodes[7:9])
    complete = np.asarray(is_complete(decodes))
    if architecture == "feedback":
        assert complete.all()
        assert vae.valid is None
    else:
        np.testing.assert_array_equal(vae.valid(decodes), complete)
    for row in decodes[complete]:
        assert encode([decode(row)])[0].tolist() == row.tolist()
    mean, log_std = vae.encode(params, decodes)
    assert mean.shape == log_std.shape == (40, 25)


def test_the_paper_decoder_can_run_out_of_steps():
    """A decoder that always prefers S -> S + T never ends, and is marked invalid."""
    vae = make_vae("paper")
    params = vae.init(jax.random.key(0))
    bias = jnp.where(jnp.arange(SYMBOLS) == 0, 50.0, 0.0)
    params["last"]["params"]["bias"] = bias
    decodes = vae.decode(params, jnp.zeros((1, 25)))
    assert decodes[0].tolist() == [0] * MAX_STEPS
    assert not vae.valid(decodes)[0]


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_without_parameters_every_choice_is_as_likely_as_any_other(architecture):
    """Which choices there are, is counted here from the completions, not from the masks."""
    vae = make_vae(architecture)
    params = jax.tree.map(jnp.zeros_like, vae.init(jax.random.key(0)))
    rows = sample_expressions(50)
    rows[0] = encode(["x + x + x + x + x + x + x"])[0]
    z = jax.random.normal(jax.random.key(1), (50, 25))
    found = vae.log_likelihood(params, z, jnp.asarray(rows))
    ways = completions()
    for row, log_p in zip(rows, found, strict=True):
        expected, rest = 0.0, ["S"]
        for step, production in enumerate(row):
            if not rest:
                break
            top = rest.pop()
            options = 0
            for p in PRODUCTIONS:
                after = rest + [s for s in p.right if s in "ST"]
                at = (after.count("S"), after.count("T"))
                in_time = architecture == "paper" or ways[MAX_STEPS - step - 1][at] > 0
                options += p.left == top and in_time
            expected -= np.log(options)
            rest += reversed([s for s in PRODUCTIONS[production].right if s in "ST"])
        assert float(log_p) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_argmax_follows_the_likelihood(architecture):
    """Of a decode and the same with one leaf exchanged, the decode is more likely."""
    vae = make_vae(architecture)
    params = vae.init(jax.random.key(3))
    z = jax.random.normal(jax.random.key(1), (200, 25))
    decodes = np.asarray(vae.decode(params, z))
    decodes, z = decodes[is_complete(jnp.asarray(decodes))], z[is_complete(jnp.asarray(decodes))]
    last = (decodes != NOTHING).sum(1) - 1
    other = decodes.copy()
    rows = np.arange(len(decodes))
    other[rows, last] = np.where(decodes[rows, last] == 7, 8, 7)
    assert len(rows) > 5
    better = vae.log_likelihood(params, z, decodes) - vae.log_likelihood(params, z, other)
    assert (np.asarray(better) >= 0).all()


def test_majority_is_the_same_for_the_same_latent_and_likes_likely_strings():
    vae, plain = make_vae("feedback", decoding="majority"), make_vae("feedback")
    params = vae.init(jax.random.key(0))
    sharp = jax.tree.map(lambda a: 40 * a, params["ends"])  # hardly any chance is left
    params["ends"] = sharp
    z = jax.random.normal(jax.random.key(1), (20, 25))
    np.testing.assert_array_equal(vae.decode(params, z), vae.decode(params, z))
    same = (vae.decode(params, z) == plain.decode(params, z)).all(1)
    assert same.mean() > 0.5


@pytest.mark.slow
def test_the_feedback_model_learns_to_reconstruct():
    rows = jnp.asarray(sample_expressions(100))
    vae = make_vae("feedback")
    data = Dataset(rows, jnp.zeros(100))
    batches = minibatches(uniform_weights(data.scores), jnp.ones(100, bool))
    params, _, info = jax.jit(
        lambda p: train(
            jax.random.key(0), p, vae, lambda r: rows[r], batches, steps=250, batch_size=50,
            optimizer=optax.adam(5e-3), beta=constant_beta(0.02),
        )
    )(vae.init(jax.random.key(1)))  # fmt: skip
    assert bool(info.finite)
    back = vae.decode(params, vae.encode(params, rows)[0])
    assert float((back == rows).all(1).mean()) > 0.9


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"architecture": "other"}, "unknown architecture 'other'; there are: feedback, paper"),
        ({"decoding": "beam"}, "decoding must be 'argmax' or 'majority', got 'beam'"),
        ({"target": "tan(x)"}, "is not an expression of x"),
        ({"rows": 0}, "rows must be at least 1, got 0"),
        ({"pretrain_epochs": 0}, "at least 1 epoch"),
    ],
)
def test_arguments_out_of_range_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        expressions(**arguments)


@pytest.mark.parametrize("architecture", ["feedback", "paper"])
def test_decodes_keep_their_type_in_double_precision_mode(architecture):
    with jax.enable_x64(True):
        vae = make_vae(architecture)
        objects = vae.decode(vae.init(jax.random.key(0)), jnp.ones((1, 25)))
        assert objects.dtype == jnp.uint8
