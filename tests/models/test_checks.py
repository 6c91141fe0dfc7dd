"""A model whose functions return other shapes is refused, wherever they are called."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import wrlso
from tests.builders import METHOD, make_tiny_task, tiny_data, tiny_params, tiny_run, tiny_vae
from wrlso.loop.retraining import RetrainConfig
from wrlso.models.vae import encode_all, object_like

BASE = wrlso.prepare_base(tiny_data())
VAE, PARAMS, OBJECTS = tiny_vae(), tiny_params(), tiny_data().objects[:4]


def own_loss(key, params, objects, beta):
    return -VAE.log_likelihood(params, VAE.encode(params, objects)[0], objects)


WRONG = {
    "log_likelihood of columns": dict(
        log_likelihood=lambda p, z, x: VAE.log_likelihood(p, z, x)[:, None]
    ),
    "log_likelihood averaged": dict(
        log_likelihood=lambda p, z, x: VAE.log_likelihood(p, z, x).mean()
    ),
    "loss averaged": dict(loss=lambda *a: own_loss(*a).mean()),
    "loss of columns": dict(loss=lambda *a: own_loss(*a)[:, None]),
    "encode of means": dict(encode=lambda p, x: VAE.encode(p, x)[0]),
    "encode of other dimensions": dict(
        encode=lambda p, x: [part[:, :1] for part in VAE.encode(p, x)]
    ),
}


@pytest.mark.parametrize("form", ["sample", "loss", "split"])
@pytest.mark.parametrize("name", WRONG)
def test_a_function_that_loses_rows_is_refused_by_name(name, form):
    vae = dataclasses.replace(VAE, **WRONG[name])
    match = f"^{name.split()[0]} must"
    with pytest.raises(ValueError, match=match):
        wrlso.weighted_negative_elbo(jax.random.key(0), PARAMS, vae, OBJECTS)
    task = make_tiny_task(vae=vae, retrain=RetrainConfig(form=form))
    algorithm, base = wrlso.algorithm(task, METHOD, budget=4, proposer="prior"), BASE
    with pytest.raises(ValueError, match=match):
        jax.eval_shape(lambda: wrlso.simulate(algorithm, task.objective, 0, PARAMS, base))


@pytest.mark.parametrize("shape", [(), (4, 1), (3,)])
def test_loss_weights_of_another_shape_are_refused(shape):
    with pytest.raises(ValueError, match=r"^loss_weights must give a number for each of 4 objects"):
        wrlso.weighted_negative_elbo(
            jax.random.key(0), PARAMS, VAE, OBJECTS, 1.0, jnp.ones(shape, jnp.float32)
        )


def test_lengths_of_another_shape_are_refused():
    vae = dataclasses.replace(VAE, lengths=lambda x: x)
    with pytest.raises(ValueError, match=r"^lengths must"):
        encode_all(vae, PARAMS, jnp.zeros((300, 2), jnp.uint8))


@pytest.mark.parametrize(
    "decode",
    [
        lambda p, z: {"bytes": VAE.decode(p, z)},
        lambda p, z: (VAE.decode(p, z), z),
        lambda p, z: VAE.decode(p, z)[0],
    ],
)
def test_a_decode_that_is_not_one_array_is_refused(decode):
    with pytest.raises(ValueError, match=r"^decode must map params and 1 latents to one array"):
        object_like(dataclasses.replace(VAE, decode=decode))


def test_another_number_of_latent_dimensions_is_named():
    with pytest.raises(TypeError) as found:
        object_like(dataclasses.replace(VAE, latent_dim=3))
    assert any("latent_dim = 3" in note for note in found.value.__notes__)


KEYED = wrlso.VAE(
    2,
    lambda key: {"vae": VAE.init(key), "dropout": jax.random.key(0)},
    lambda p, x: VAE.encode(p["vae"], x),
    lambda p, z: VAE.decode(p["vae"], z),
    lambda p, z, x: VAE.log_likelihood(p["vae"], z, x),
)


def test_parameters_that_no_file_holds_are_refused_before_any_training(tmp_path):
    untrained = make_tiny_task(
        name="keyed", vae=KEYED, params=None, pretrain=wrlso.PretrainConfig(epochs=10**9)
    )
    with pytest.raises(ValueError, match=r"a typed key at \['dropout'\].*key_data"):
        wrlso.pretrained(untrained, progress=False)
    given = dataclasses.replace(untrained, params=KEYED.init(jax.random.key(0)))
    with pytest.raises(ValueError, match=r"a typed key at \['dropout'\]"):
        tiny_run(tmp_path / "run", given, proposer="prior")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "optimizer",
    [
        lambda rate: optax.lbfgs(memory_size=3, linesearch=optax.scale_by_zoom_linesearch(4)),
        lambda rate: optax.chain(optax.adam(rate), optax.contrib.reduce_on_plateau()),
    ],
    ids=["lbfgs", "plateau"],
)
def test_an_optimizer_may_ask_for_the_loss(optimizer):
    task = make_tiny_task(retrain=RetrainConfig(steps=3, first_steps=6, optimizer=optimizer))
    algorithm = wrlso.algorithm(task, METHOD, budget=4, proposer="prior")
    base = wrlso.base_data(task)
    state, rounds = jax.jit(lambda: wrlso.simulate(algorithm, task.objective, 0, PARAMS, base))()
    assert not np.asarray(rounds.diverged).any()
    assert not np.allclose(state.params["decoder"], PARAMS["decoder"])


@pytest.mark.parametrize(
    "changes", [dict(optimizer="adam"), dict(batch_size=16.5), dict(batch_size=True)], ids=str
)
def test_settings_of_a_retraining_are_refused_by_name(changes):
    with pytest.raises(ValueError, match=f"^{next(iter(changes))} must be"):
        RetrainConfig(**changes)
