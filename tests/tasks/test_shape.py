"""The shapes task: data and models as the protocol has them."""

import hashlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import wrlso
from wrlso import loop, methods
from wrlso.tasks.shape.data import all_images, area, load
from wrlso.tasks.shape.model import make_vae, pack, unpack
from wrlso.tasks.shape.task import shapes


def test_all_images_of_the_protocol():
    images = np.unpackbits(all_images(), axis=-1)
    assert images.shape == (10_900, 64, 64)
    expected = []
    for side in range(1, 21):
        for top in range(64 - side + 1):
            image = np.zeros((64, 64), np.uint8)
            for row in range(top, top + side):
                for column in range(32, 32 + side):
                    image[row, column] = 1
            expected += [image.tobytes()] * 10
    assert [image.tobytes() for image in images] == expected


def test_split_is_shuffled_complete_and_compact():
    train, validation = load("train"), load("validation")
    assert (len(train.scores), len(validation.scores)) == (10_355, 545)
    assert train.objects.dtype == jnp.uint8
    assert train.objects.nbytes == 10_355 * 512
    both = np.concatenate([train.objects, validation.objects])
    key = lambda rows: sorted(row.tobytes() for row in rows)  # noqa: E731
    assert key(both) == key(all_images())
    assert float(train.scores.max()) == 400
    assert len(np.unique(np.asarray(train.scores[:100]))) > 10


def test_area_counts_set_pixels():
    data = load("validation")
    np.testing.assert_array_equal(area(data.objects), data.scores)
    assert area(jnp.full((1, 64, 8), 255, jnp.uint8)) == 4096


def test_pack_inverts_unpack_and_agrees_with_numpy():
    pixels = np.random.default_rng(0).random((3, 64, 64)) < 0.5
    packed = pack(jnp.asarray(pixels))
    np.testing.assert_array_equal(packed, np.packbits(pixels, axis=-1))
    np.testing.assert_array_equal(unpack(packed), pixels)


@pytest.mark.parametrize(
    "architecture", ["coordinate", pytest.param("paper", marks=pytest.mark.slow)]
)
def test_a_decode_is_the_most_likely_image(architecture):
    vae = make_vae(architecture)
    params = vae.init(jax.random.key(0))
    objects = load("validation").objects[:4]
    z = jax.random.normal(jax.random.key(1), (4, 2))
    decoded = vae.decode(params, z)
    log_lik = vae.log_likelihood(params, z, decoded)
    # The decode is the most likely image: flipping any pixel cannot raise the likelihood.
    flipped = decoded.at[:, 10, 3].set(decoded[:, 10, 3] ^ 4)
    assert (vae.log_likelihood(params, z, flipped) <= log_lik).all()
    mean, log_std = vae.encode(params, objects)
    assert jnp.isfinite(mean).all()
    assert jnp.isfinite(log_std).all()


def test_paper_architecture_has_the_papers_parameters():
    """Counted by hand from the layers of the original: kernels and biases."""

    def conv(*layers):
        return sum(i * o * k * k + o for i, o, k in layers)

    def dense(*layers):
        return sum(i * o + o for i, o in layers)

    encoder = conv((1, 4, 3), (4, 8, 5), (8, 8, 3), (8, 16, 5), *[(16, 16, 3)] * 2, (16, 16, 5),
                   *[(16, 16, 3)] * 2, (16, 16, 5), (16, 16, 3))  # fmt: skip
    encoder += dense((256, 32), (32, 4))
    decoder = conv((16, 32, 3), (32, 32, 5), (32, 32, 3), (32, 16, 5), *[(16, 16, 3)] * 2,
                   (16, 16, 5), (16, 8, 3), (8, 8, 3), (8, 8, 5), (8, 1, 3)) + dense(
        (2, 32), (32, 256))  # fmt: skip
    params = jax.eval_shape(make_vae("paper").init, jax.random.key(0))
    assert sum(leaf.size for leaf in jax.tree.leaves(params)) == encoder + decoder


def test_unknown_architecture_is_named():
    with pytest.raises(ValueError, match="unknown architecture 'cubist'"):
        shapes(architecture="cubist")


def test_data_never_changes():
    """Published runs are only comparable while this stays the same."""
    digest = hashlib.sha256(np.asarray(load("train").objects).tobytes()).hexdigest()
    assert digest == "ec29cad00c3b683499eb9cd981e166fe4b2a2f2de998016d27cfcc48a2cabbb1"


@pytest.mark.parametrize(
    ("architecture", "proposer"),
    [
        pytest.param("coordinate", "prior", marks=pytest.mark.slow),
        pytest.param("paper", "prior", marks=pytest.mark.slow),
        pytest.param("coordinate", "bo", marks=pytest.mark.slow),
    ],
)
def test_models_stay_float32_in_double_precision_mode(architecture, proposer):
    """With JAX_ENABLE_X64 the models stay float32."""
    with jax.enable_x64(True):
        task = shapes(architecture=architecture)
        method = methods.weighted_retraining(retrain_every=4)
        algorithm = wrlso.algorithm(task, method, budget=4, proposer=proposer)
        base = wrlso.base_data(task)
        state = loop.init(algorithm, task.vae.init(jax.random.key(0)), base.dataset)
        state, info = loop.retrain(algorithm, jax.random.key(0), state, base, 2)
        state, surrogate = loop.fit(algorithm, jax.random.key(2), state, base)
        candidates = loop.ask(algorithm, jax.random.key(1), state, surrogate, base)
        evaluation = loop.score(task.objective, candidates)
        state, _ = loop.tell(algorithm, state, surrogate, candidates, evaluation, 0)
    assert bool(info.finite)
    assert {str(leaf.dtype) for leaf in jax.tree.leaves(state.params)} == {"float32"}
    assert candidates.latents.dtype == jnp.float32
