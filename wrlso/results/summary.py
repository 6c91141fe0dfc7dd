"""The numbers of a run, computed from its log; they can be computed again at any time."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from wrlso.data import Dataset
from wrlso.models.vae import object_like
from wrlso.runs.config import RunConfig
from wrlso.runs.log import Query, QueryLog, Round
from wrlso.status import Status
from wrlso.tasks.base import Task

_REASONS = 5
"""Maximum number of reasons for failures in a summary; the most frequent ones are listed."""


def charged_scores(queries: Sequence[Query]) -> np.ndarray:
    """The scores ``[n]`` of a seed's charged queries in order; NaN for a query that failed."""
    charged = [q for q in queries if q.status.charged]
    return np.array([np.nan if q.score is None else q.score for q in charged], float)


def best_so_far(scores: np.ndarray) -> np.ndarray:
    """The running best ``[n]``; NaN before the first query that did not fail."""
    return np.fmax.accumulate(scores) if len(scores) else scores


def top_mean(scores: np.ndarray, n: int) -> float | None:
    """Mean of the n best scores, or of all scores if there are fewer; None if there is no score."""
    top = np.sort(scores[np.isfinite(scores)])[::-1][:n]
    return float(top.mean()) if len(top) else None


def best_query(queries: Sequence[Query]) -> Query | None:
    """The first of the queries with the highest score, or None."""
    scored = [q for q in queries if q.score is not None]
    return max(scored, key=lambda q: q.score or 0.0, default=None)


def describer(task: Task) -> Callable[[Query], str] | None:
    """A function from a query to its object as a line of text; None if the task has no text form.

    The line is empty if the object has no text form.
    """
    to_text, like = task.to_text, object_like(task.vae)
    if to_text is None:
        return None

    def describe(query: Query) -> str:
        try:
            return to_text(np.frombuffer(query.object, like.dtype).reshape(like.shape))
        except Exception:  # an error of the user's function must not fail a run that is done
            return ""

    return describe


def describe_base(task: Task, base: Dataset) -> dict[str, Any]:
    """The number of objects that a run begins with, the best of their scores, and its object."""
    scores = np.asarray(base.scores, float)
    first = int(np.argmax(scores))
    try:
        text = task.to_text(np.asarray(base.objects[first])) if task.to_text else None
    except Exception:  # as for queries
        text = ""
    return {"objects": len(scores), "best": float(scores[first]), "best_object": text}


def wall_seconds(seconds: Mapping[str, float]) -> float:
    """Wall time of all sessions without pretraining, from the seconds of each phase.

    A session that was killed has recorded its phases only, so the time between them is missing.
    """
    phases = sum(s for phase, s in seconds.items() if phase not in ("session", "pretrain"))
    return max(seconds.get("session", 0.0), phases)


def summarize(
    config: RunConfig,
    log: QueryLog,
    compilations: dict[str, int],
    side_by_side: int = 1,
    stated: Mapping[str, Any] | None = None,
    describe: Callable[[Query], str] | None = None,
    base: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The content of ``summary.json``.

    Standard deviations are over seeds, with divisor S as in the published results; None if a seed
    has no successful query. ``seconds`` has the parts of ``wall_seconds``, see
    :func:`wall_seconds`.

    Args:
      config: configuration of the run.
      log: its log.
      compilations: number of compilations of each function of the program.
      side_by_side: number of runs in the program; each is given an equal share of its seconds.
      stated: facts about the task that every table shows.
      describe: function from a query to a line of text, for the best query of each seed.
      base: see :func:`describe_base`.
    """
    rounds = log.rounds()
    queries = {seed: log.queries(seed) for seed in config.seed_numbers}
    per_seed = [_summary_of_seed(seed, made, rounds, describe) for seed, made in queries.items()]
    reasons, refused = (
        Counter(
            q.reason
            for made in queries.values()
            for q in made
            if q.reason and q.status != Status.OK and (q.status == Status.REFUSED) == is_refused
        )
        for is_refused in (False, True)
    )
    seconds = log.seconds()
    return {
        "task": config.task,
        "task_options": dict(config.task_options),
        "stated": dict(stated or {}),
        "method": config.method,
        "hyper": {k: str(v) if np.isinf(v) else v for k, v in config.hyper.items()},
        "retrain_every": config.retrain_every,
        "epochs": config.epochs,
        "beta": config.beta,
        "proposer": config.proposer,
        "budget": config.budget,
        "base": dict(base or {}),
        "seeds": per_seed,
        **{name: _over_seeds(per_seed, name) for name in ("best", "top10", "top50")},
        "charged_evaluations": sum(seed["charged"] for seed in per_seed),
        "uncharged_evaluations": sum(r.uncharged for r in rounds),
        "failures": dict(reasons.most_common(_REASONS)),
        "refusals": dict(refused.most_common(_REASONS)),
        "diverged_retrainings": sum(r.diverged for r in rounds),
        "wall_seconds": wall_seconds(seconds),
        "compile_seconds": seconds.get("compile", 0.0),
        "seconds": seconds,
        "compilations": compilations,
        "side_by_side": side_by_side,
    }


def _summary_of_seed(
    seed: int,
    queries: Sequence[Query],
    rounds: Sequence[Round],
    describe: Callable[[Query], str] | None,
) -> dict[str, Any]:
    scores = charged_scores(queries)
    top = best_query(queries)
    counts = {s.name: sum(q.status == s for q in queries) for s in Status if s != Status.UNUSED}
    return {
        "seed": seed,
        "best": top_mean(scores, 1),
        "top10": top_mean(scores, 10),
        "top50": top_mean(scores, 50),
        "charged": len(scores),
        "retrainings": sum(r.seed == seed and r.steps > 0 and r.effective_rows > 0 for r in rounds),
        "best_object": describe(top) if describe and top else None,
        "status": {name: count for name, count in counts.items() if count},
        "refused": counts[Status.REFUSED.name] + sum(r.refused for r in rounds if r.seed == seed),
    }


def _over_seeds(per_seed: list[dict[str, Any]], name: str) -> dict[str, float | None]:
    values = [seed[name] for seed in per_seed]
    if any(value is None for value in values):
        return {"mean": None, "sd": None}
    return {"mean": float(np.mean(values)), "sd": float(np.std(values))}
