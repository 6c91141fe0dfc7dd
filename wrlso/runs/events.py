"""The event that a callback receives after each round."""

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from wrlso.data import Dataset
from wrlso.loop.algorithm import RETRAIN, query_key
from wrlso.models.elbo import elbo_terms
from wrlso.models.vae import VAE
from wrlso.runs.checkpoints import OpenRun
from wrlso.runs.config import RunConfig
from wrlso.runs.log import QueryLog, Round
from wrlso.scores.checks import check_function
from wrlso.status import Status
from wrlso.storage.numbers import shown

_logger = logging.getLogger("wrlso")

_SAMPLE = 256
"""Maximum number of starting objects on which the parts of the ELBO are measured."""


@dataclass(frozen=True)
class RoundEvent:
    """A round that has ended; its state is in the run's folder.

    Attributes:
      folder: the run's folder.
      round: number of the round, from 0.
      charged: number of charged queries so far, over all seeds.
      budget: number of charged queries that the run may make, over all seeds.
      seeds: the metrics of each seed that took part: ``charged``; ``best`` so far;
        ``loss`` (nats per object), ``steps`` and ``effective_rows`` of the retraining;
        ``log_likelihood`` and ``kl``, means over up to 256 starting objects under the retrained
        model, in nats; ``fit_r2`` and ``fit_spearman`` of the surrogate on held-out points;
        ``duplicates``, ``failed``, ``refused`` and ``uncharged`` of the round. A metric that was
        not measured is missing.
    """

    folder: Path
    round: int
    charged: int
    budget: int
    seeds: Mapping[int, Mapping[str, float]]

    @property
    def metrics(self) -> dict[str, float]:
        """The means of the metrics over the seeds that have them."""
        names = dict.fromkeys(name for own in self.seeds.values() for name in own)
        return {
            name: float(np.mean([own[name] for own in self.seeds.values() if name in own]))
            for name in names
        }


Callback = Callable[[RoundEvent], Any]
"""Called once per round and run. An exception stops the run, which can be resumed."""


def check_callback(callback: Any) -> None:
    """Refuse a callback that cannot be called, before any work.

    Raises:
      TypeError: if so.
    """
    if callback is not None:
        check_function("callback", callback)


def is_heard(callback: Callback | None) -> bool:
    """Whether anybody hears of an event."""
    return callback is not None or _logger.isEnabledFor(logging.INFO)


def elbo_parts(
    vae: VAE, params: Any, base: Dataset, seeds: Sequence[int], round: int
) -> list[dict[str, float]]:
    """``log_likelihood`` and ``kl`` of each lane of ``params``, on starting objects."""
    rows = np.unique(np.linspace(0, len(base.scores) - 1, _SAMPLE).astype(int))
    objects = jnp.asarray(np.asarray(base.objects)[rows])
    terms = jax.jit(lambda key, own: [x.mean() for x in elbo_terms(key, own, vae, objects)])
    parts = []
    for lane, seed in enumerate(seeds):
        own = jax.tree.map(lambda a, lane=lane: jnp.asarray(np.asarray(a[lane])), params)
        log_likelihood, kl = terms(jax.random.fold_in(query_key(seed, round, RETRAIN), 1), own)
        parts.append({"log_likelihood": float(log_likelihood), "kl": float(kl)})
    return parts


def event_of(
    folder: Path,
    config: RunConfig,
    log: QueryLog,
    rounds: Sequence[Round],
    parts: Mapping[int, Mapping[str, float]],
) -> RoundEvent:
    """The event of one run, whose seeds have ended ``rounds``, all of one number."""
    number = rounds[0].round
    tallies = log.tallies(number)
    seeds = {}
    for row in rounds:
        own = [t for t in tallies if t.seed == row.seed]
        scores = [s for t in own for s in (t.lowest, t.highest) if s is not None]
        found: dict[str, float | None] = {
            "charged": sum(t.number for t in own if t.status.charged),
            "best": config.sign * max(config.sign * s for s in scores) if scores else None,
        }
        found |= {name: value for name, value in asdict(row).items() if name not in _KEYS}
        if row.steps == 0:
            found["loss"] = None
        found |= parts.get(row.seed, {})
        now = Counter({t.status: t.number for t in own if t.of_round})
        found["duplicates"] = now[Status.DUPLICATE]
        found["failed"] = now[Status.FAILED] + now[Status.TIMEOUT] + now[Status.INVALID]
        known = {name: float(value) for name, value in found.items() if value is not None}
        seeds[row.seed] = {name: value for name, value in known.items() if np.isfinite(value)}
    charged = sum(t.number for t in tallies if t.status.charged)
    event = RoundEvent(folder, number, charged, config.queries * config.seeds, seeds)
    metrics = ", ".join(f"{name} {shown(value)}" for name, value in event.metrics.items())
    _logger.info(
        "%s: round %d, %d of %d queries: %s", folder, number, charged, event.budget, metrics
    )
    return event


def tell_of_rounds(
    callback: Callback | None,
    runs: Iterable[OpenRun],
    lanes: Sequence[tuple[QueryLog, int]],
    done: Mapping[QueryLog, Sequence[Round]],
    measure: Callable[[], Sequence[Mapping[str, float]]],
) -> None:
    """Tell the callback and the loggers of the rounds of each run that has ended some.

    Args:
      callback: to call with the event of each run, or None.
      runs: the runs.
      lanes: log and seed of each lane.
      done: the rounds by log.
      measure: makes the metrics of each lane's model, for the callback.
    """
    if not is_heard(callback):
        return
    parts = {} if callback is None else dict(zip(lanes, measure(), strict=True))
    for run in runs:
        if rounds := done[run.log]:
            own = {seed: part for (log, seed), part in parts.items() if log is run.log}
            event = event_of(run.folder.path, run.folder.config, run.log, rounds, own)
            if callback is not None:
                callback(event)


_KEYS = ("seed", "round", "diverged")
