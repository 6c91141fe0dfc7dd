"""Long training: what it learns, and that stopping and going on change nothing."""

import csv
import dataclasses
from functools import partial

import chex
import jax.numpy as jnp
import numpy as np
import pytest

from wrlso.models.sequence_vae import make_vae
from wrlso.runs import sequence_training as training
from wrlso.runs.sequence_training import (
    TrainingConfig,
    reconstructed,
    round_trip,
    split,
    train_strings,
)

pytestmark = pytest.mark.usefixtures("rolled_loops")

CUTS = [5, 9]
CONFIG = TrainingConfig(epochs=2, decay=0, batch_size=16, learning_rate=2e-2, beta=0.01, seed=3)


def strings(n=400, symbols=5):
    rng = np.random.default_rng(0)
    rows = rng.integers(1, symbols, (n, 8))
    return np.where(np.arange(8) < rng.integers(1, 9, (n, 1)), rows, 0).astype(np.uint8)


def model():
    return make_vae(5, CUTS[-1], latent_dim=6, encoder_units=16, decoder_units=24, cut=False)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    return folder, train_strings(model(), strings(), CUTS, folder, CONFIG, progress=False)


def test_training_lowers_the_loss_and_logs_it(trained):
    folder, params = trained
    with (folder / "log.csv").open() as file:
        log = list(csv.DictReader(file))
    assert [float(line["epoch"]) for line in log] == [1, 2]
    assert float(log[1]["nats"]) < float(log[0]["nats"]) - 0.3
    held_out = strings()[split(400, CONFIG).held_out]
    assert float(log[1]["held_out_reconstructed"]) == pytest.approx(
        reconstructed(partial(round_trip, model()), params, held_out), abs=1e-5
    )


def test_stopped_and_resumed_is_the_same(trained, tmp_path):
    half = dataclasses.replace(CONFIG, epochs=0.9)
    train_strings(model(), strings(), CUTS, tmp_path, half, progress=False)
    resumed = train_strings(model(), strings(), CUTS, tmp_path, CONFIG, progress=False)
    chex.assert_trees_all_equal(resumed, trained[1])
    # Nothing is left to do a second time.
    again = train_strings(model(), strings(), CUTS, tmp_path, CONFIG, progress=False)
    chex.assert_trees_all_equal(again, trained[1])


def test_the_log_of_a_training_that_was_killed_is_that_of_a_whole_one(
    trained, tmp_path, monkeypatch
):
    """Killed in the second epoch, then between a line of the log and its checkpoint."""
    monkeypatch.setattr(training, "_CHECK_EVERY", 5)
    monkeypatch.setattr(training, "_SAVE_EVERY", -1.0)
    end_epoch, whole = training._Meter.end_epoch, (trained[0] / "log.csv").read_text()

    def end(meter, epoch, exact):
        end_epoch(meter, epoch, exact)
        if epoch == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(training._Meter, "end_epoch", end)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            train_strings(model(), strings(), CUTS, tmp_path, CONFIG, progress=False)
    monkeypatch.setattr(training._Meter, "end_epoch", end_epoch)
    train_strings(model(), strings(), CUTS, tmp_path, CONFIG, progress=False)
    ours, theirs = (
        [line.split(",")[:4] for line in text.splitlines()]
        for text in ((tmp_path / "log.csv").read_text(), whole)
    )
    assert ours == theirs


def test_another_training_in_the_folder_is_refused(trained):
    for config, data in (
        (dataclasses.replace(CONFIG, beta=0.5), strings()),
        (CONFIG, strings()[::-1]),
    ):
        with pytest.raises(ValueError, match="of another training"):
            train_strings(model(), data, CUTS, trained[0], config, progress=False)


def test_divergence_is_named(tmp_path):
    broken = dataclasses.replace(
        model(), log_likelihood=lambda params, z, x: jnp.full(len(x), jnp.nan)
    )
    with pytest.raises(FloatingPointError, match="lower learning_rate"):
        train_strings(broken, strings(), CUTS, tmp_path, CONFIG, progress=False)
    assert not (tmp_path / "checkpoint.safetensors").exists()


def test_every_row_is_in_one_part():
    parts = split(400, CONFIG)
    assert sorted([*parts.train, *parts.held_out]) == list(range(400))
    assert len(parts.held_out) == 20


@pytest.mark.parametrize(
    "bad", [{"epochs": 0}, {"decay": 9.0, "epochs": 3.0}, {"batch_size": 0}, {"held_out": 1.0}]
)
def test_settings_out_of_range_are_refused(bad):
    with pytest.raises(ValueError, match="got"):
        TrainingConfig(**bad)


def test_too_few_objects_are_refused(tmp_path):
    with pytest.raises(ValueError, match="fewer than a batch"):
        train_strings(model(), strings(10), CUTS, tmp_path, CONFIG, progress=False)


def test_reconstruction_counts_whole_strings():
    """Longer or shorter by a symbol is not equal; padding is."""
    rows = np.array([[1, 2, 0], [3, 4, 0], [4, 0, 0], [1, 2, 4]], np.uint8)
    back = np.array([[1, 2, 0, 0], [3, 4, 0, 1], [4, 0, 0, 0], [1, 2, 0, 0]], np.uint8)
    assert reconstructed(lambda params, x: back, {}, rows) == 0.5
    assert reconstructed(lambda params, x: back[:, :2], {}, rows) == 0.75
    assert np.isnan(reconstructed(lambda params, x: back, {}, rows[:0]))
