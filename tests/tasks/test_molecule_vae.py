"""The VAE of strings of ring systems."""

import dataclasses
import itertools
import json
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.ringtree_cases import MOLECULES, plain, vocabulary
from wrlso.chem.ringtree.rows import read_rows, write_rows
from wrlso.chem.ringtree.tables import make_tables
from wrlso.models.vae import encode_all
from wrlso.tasks.molecule import machine as machines
from wrlso.tasks.molecule.machine import make_machine
from wrlso.tasks.molecule.model import MoleculeModel, load_model, save_model
from wrlso.tasks.molecule.training import Settings, split, train
from wrlso.tasks.molecule.vae import Sizes, make_vae, properties

pytestmark = pytest.mark.usefixtures("rolled_loops")

SIZES = Sizes(
    latent_dim=6, embedding=8, encoder_units=12, decoder_units=16, rank=8, category=4, properties=2
)
LENGTH = 20


@pytest.fixture(scope="module")
def machine():
    return make_machine(make_tables(vocabulary()), 16)


@pytest.fixture(scope="module")
def rows():
    return write_rows(MOLECULES, vocabulary(), LENGTH).rows


@pytest.fixture(scope="module")
def trained(machine, rows, tmp_path_factory):
    vae = make_vae(machine, LENGTH, SIZES)
    folder = tmp_path_factory.mktemp("training")
    targets = np.stack([(rows > 0).sum(1), np.arange(len(rows)) % 2], 1).astype(np.float32)
    settings = Settings(steps=250, batch_size=16, held_out=0.1, warmup=5, learning_rate=1e-2)
    lines: list[str] = []
    params = train(vae, rows, targets, folder, settings, tell=lines.append)
    return vae, params, folder, targets, settings


@pytest.mark.slow
def test_likelihoods_of_short_strings_add_up_to_one(machine):
    """All strings of at most two symbols, and all beginnings of longer ones."""
    vae = make_vae(machine, LENGTH, SIZES)
    params = vae.init(jax.random.key(0))
    latent = jax.random.normal(jax.random.key(1), (1, SIZES.latent_dim))
    state = machines.begin(machine, 1)
    first = np.flatnonzero(machines.allowed(machine, state)[0])
    total = 0.0
    strings = []
    for symbol in first:
        after = machines.advance(machine, state, jnp.array([symbol]))
        second = np.flatnonzero(machines.allowed(machine, after)[0])
        strings += [(symbol, other) for other in second]
    batch = jnp.array(strings, jnp.uint16)
    latents = jnp.broadcast_to(latent, (len(strings), SIZES.latent_dim))
    total = np.exp(vae.log_likelihood(params, latents, batch)).sum()
    np.testing.assert_allclose(total, 1.0, rtol=1e-4)


@pytest.mark.slow
def test_padding_changes_nothing(machine, rows):
    vae = make_vae(machine, LENGTH, SIZES)
    params = vae.init(jax.random.key(0))
    short = rows[(rows > 0).sum(1) <= 8][:, :9]
    longer = np.pad(short, [(0, 0), (0, 7)])
    latents = jax.random.normal(jax.random.key(1), (len(short), SIZES.latent_dim))
    for a, b in zip(vae.encode(params, short), vae.encode(params, longer), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)
    np.testing.assert_allclose(
        vae.log_likelihood(params, latents, short),
        vae.log_likelihood(params, latents, longer),
        rtol=1e-5,
    )


@pytest.mark.slow
def test_a_decode_is_the_most_likely_symbol_at_each_step(machine):
    """Slow, as every length of a string is compiled."""
    vae = make_vae(machine, LENGTH, SIZES)
    params = vae.init(jax.random.key(3))
    latents = jax.random.normal(jax.random.key(1), (1, SIZES.latent_dim))
    found = np.asarray(vae.decode(params, latents))[0]
    state = machines.begin(machine, 1)
    chosen: list[int] = []
    for step in itertools.count():
        possible = np.flatnonzero(machines.allowed(machine, state, LENGTH - step)[0])
        if list(possible) == [0]:
            break
        tried = jnp.array([[*chosen, s] for s in possible], jnp.uint16)
        repeated = jnp.broadcast_to(latents, (len(tried), SIZES.latent_dim))
        symbol = int(possible[np.argmax(vae.log_likelihood(params, repeated, tried))])
        assert found[step] == symbol
        chosen.append(symbol)
        state = machines.advance(machine, state, jnp.array([symbol]))
    assert not found[step:].any()


def test_decodes_are_molecules_whatever_the_parameters(machine):
    vae = make_vae(machine, LENGTH, SIZES)
    params = jax.tree.map(lambda a: 5 * a, vae.init(jax.random.key(0)))
    latents = 3 * jax.random.normal(jax.random.key(1), (200, SIZES.latent_dim))
    rows = np.asarray(vae.decode(params, latents))
    assert rows.dtype == np.uint16
    assert len(read_rows(rows, vocabulary())) == 200


def test_a_large_batch_is_decoded_as_its_rows_are_alone(machine):
    """Long strings of a large batch are completed in parts."""
    vae = make_vae(machine, LENGTH, SIZES)
    params = jax.tree.map(lambda a: 3 * a, vae.init(jax.random.key(0)))
    latents = 2 * jax.random.normal(jax.random.key(1), (150, SIZES.latent_dim))
    together = np.asarray(vae.decode(params, latents))
    apart = [np.asarray(vae.decode(params, latents[i : i + 30])) for i in range(0, 150, 30)]
    assert ((together > 0).sum(1) > 13).sum() > 150 / 8  # more than fit into one part
    np.testing.assert_array_equal(together, np.concatenate(apart))


def test_tables_made_once_change_no_encoding_and_no_decode(machine, rows):
    vae = make_vae(machine, LENGTH, SIZES)
    params = vae.init(jax.random.key(0))
    prepared = vae.prepare(params)
    rows = jnp.asarray(rows)
    for plain_out, out in zip(vae.encode(params, rows), vae.encode(prepared, rows), strict=True):
        assert jnp.std(plain_out) > 0.01
        np.testing.assert_allclose(out, plain_out, atol=2e-6)
    latents = jax.random.normal(jax.random.key(1), (70, SIZES.latent_dim))
    np.testing.assert_array_equal(vae.decode(prepared, latents), vae.decode(params, latents))


def test_many_rows_are_encoded_from_tables_that_are_made_once(machine, rows):
    vae = make_vae(machine, LENGTH, SIZES)
    params = vae.init(jax.random.key(0))
    many = jnp.asarray(rows)[jnp.arange(600) % len(rows)]
    calls = []
    counted = dataclasses.replace(vae, prepare=lambda p: calls.append(1) or vae.prepare(p))
    found = encode_all(counted, params, many)
    assert len(calls) == 1
    encode_all(counted, params, many[:20])  # one slice, which costs less than the tables
    assert len(calls) == 1
    alone = encode_all(dataclasses.replace(vae, prepare=None), params, many)
    np.testing.assert_allclose(found, alone, atol=2e-6)


def test_a_training_goes_on_where_it_was_stopped(trained, machine, rows, tmp_path):
    vae, params, folder, targets, settings = trained
    assert (folder / "log.csv").read_text().startswith("step,nats,kl,error,seconds\n250,")
    with pytest.raises(ValueError, match="is of another training"):
        train(vae, rows, targets, folder, Settings(steps=250, batch_size=4), tell=lambda line: None)
    # Trained to the end: the same again, in no time.
    again = train(vae, rows, targets, folder, settings, tell=lambda line: None)
    jax.tree.map(np.testing.assert_array_equal, again, params)


def test_training_helps(trained, rows):
    vae, params, _, targets, settings = trained
    kept = split(len(rows), settings).train
    fresh = vae.init(jax.random.key(0))
    mean, _ = vae.encode(params, rows[kept])
    before, _ = vae.encode(fresh, rows[kept])
    after = vae.log_likelihood(params, mean, rows[kept]).mean()
    assert after > vae.log_likelihood(fresh, before, rows[kept]).mean() + 5
    error = ((properties(params, mean) - targets[kept]) ** 2).mean()
    assert error < ((properties(fresh, before) - targets[kept]) ** 2).mean()


def test_a_stored_model_decodes_as_before(trained, tmp_path):
    vae, params, *_ = trained
    half = jax.tree.map(lambda a: a.astype(jnp.float16).astype(jnp.float32), params)
    card = {"data": "cases", "settings": json.dumps({"beta": 0.1})}
    model = MoleculeModel(half, vocabulary(), SIZES, LENGTH, card)
    save_model(tmp_path / "model", model)
    loaded = load_model(tmp_path / "model")
    assert loaded.vocabulary == vocabulary()
    assert (loaded.sizes, loaded.length, loaded.card) == (SIZES, LENGTH, card)
    latents = jax.random.normal(jax.random.key(1), (20, SIZES.latent_dim))
    np.testing.assert_array_equal(
        loaded.vae().decode(loaded.params, latents), vae.decode(half, latents)
    )
    for other in (b"text", b""):
        (tmp_path / "other").write_bytes(other)
        with pytest.raises(ValueError, match="is not a model of molecules"):
            load_model(tmp_path / "other")
    with pytest.raises(FileNotFoundError, match="there is no model"):
        load_model(tmp_path / "none")


def test_cases_are_what_they_seem():
    assert len({plain(smiles) for smiles in MOLECULES}) == len(MOLECULES)


def lanes(rows):
    """Latents and objects of three seeds, of other lengths in each."""
    keys = jax.random.split(jax.random.key(3), 3)
    latents = jnp.stack(
        [s * jax.random.normal(k, (96, SIZES.latent_dim)) for s, k in enumerate(keys)]
    )
    by_length = np.argsort((rows > 0).sum(1), kind="stable")
    objects = jnp.stack([jnp.asarray(rows[by_length][chosen]) for chosen in (
        slice(0, 8), slice(len(rows) // 2, len(rows) // 2 + 8), slice(-8, None)
    )])  # fmt: skip
    return latents, objects


def test_lanes_decode_what_each_decodes_alone(machine, rows, trained):
    """In batches that are decoded in parts."""
    vae, params, *_ = trained
    decode, (latents, _) = partial(vae.decode, params), lanes(rows)
    alone = jnp.stack([decode(z) for z in latents])
    np.testing.assert_array_equal(jax.vmap(decode)(latents), alone)
    assert len({int((lane > 0).sum(1).max()) for lane in alone}) > 1


@pytest.mark.parametrize("what", ["encode", "likelihood"])
def test_lanes_give_what_each_gives_alone(what, machine, rows, trained):
    vae, params, *_ = trained
    latents, objects = lanes(rows)
    function, arguments = {
        "encode": (partial(vae.encode, params), (objects,)),
        "likelihood": (lambda z, x: vae.log_likelihood(params, z[:8], x), (latents, objects)),
    }[what]
    each = [function(*lane) for lane in zip(*arguments, strict=True)]
    want = jax.tree.map(lambda *leaves: jnp.stack(leaves), *each)
    got = jax.vmap(function)(*arguments)
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-5), got, want)
