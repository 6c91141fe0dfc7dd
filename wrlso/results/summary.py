"""From the log to the numbers of a run: everything here can be rebuilt at any time."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from wrlso.models.vae import object_like
from wrlso.runs.config import RunConfig
from wrlso.runs.log import Query, QueryLog, Round
from wrlso.status import Status
from wrlso.tasks.base import Task

_REASONS = 5
"""Of failures that a summary holds, the most frequent."""


def charged_scores(queries: Sequence[Query]) -> np.ndarray:
    """A seed's charged queries in order: ``[n]`` scores, NaN where a query failed."""
    charged = [q for q in queries if q.status.charged]
    return np.array([np.nan if q.score is None else q.score for q in charged], float)


def best_so_far(scores: np.ndarray) -> np.ndarray:
    """``[n]`` running best; NaN until the first query that did not fail."""
    return np.fmax.accumulate(scores) if len(scores) else scores


def top_mean(scores: np.ndarray, n: int) -> float | None:
    """Mean of the n best scores; of all if there are fewer, None if there are none."""
    good = np.sort(scores[np.isfinite(scores)])[::-1][:n]
    return float(good.mean()) if len(good) else None


def best_query(queries: Sequence[Query]) -> Query | None:
    """The first of the queries with the highest score, or None."""
    scored = [q for q in queries if q.score is not None]
    return max(scored, key=lambda q: q.score or 0.0, default=None)


def describer(task: Task) -> Callable[[Query], str] | None:
    """A query's object as a line of text, empty where it is none; None if the task has no text."""
    to_text, like = task.to_text, object_like(task.vae)
    if to_text is None:
        return None

    def describe(query: Query) -> str:
        try:
            return to_text(np.frombuffer(query.object, like.dtype).reshape(like.shape))
        except Exception:  # of the user's: a run that is done does not fail for a line
            return ""

    return describe


def wall_seconds(seconds: Mapping[str, float]) -> float:
    """Wall time of all sessions, without pretraining, from the seconds of each phase. Of a session
    that was killed, only what was done in it counts, as what it did besides is not known."""
    done = sum(s for phase, s in seconds.items() if phase not in ("session", "pretrain"))
    return max(seconds.get("session", 0.0), done)


def summarize(
    config: RunConfig,
    log: QueryLog,
    compilations: dict[str, int],
    side_by_side: int = 1,
    stated: Mapping[str, Any] | None = None,
    describe: Callable[[Query], str] | None = None,
) -> dict[str, Any]:
    """The content of ``summary.json``.

    ``describe`` turns a seed's best query into a line of text. ``compilations`` are those of the
    program, in which ``side_by_side`` runs took part; each has an equal share of its seconds.

    ``stated`` is what every table says of the task.

    Standard deviations are over seeds, with divisor S as in the published
    results; None where a seed has no successful query. ``seconds`` has the parts of
    ``wall_seconds``, see :func:`wall_seconds`.
    """
    rounds = log.rounds()
    queries = {seed: log.queries(seed) for seed in config.seed_numbers}
    per_seed = [_summary_of_seed(seed, found, rounds, describe) for seed, found in queries.items()]
    reasons = Counter(q.reason for found in queries.values() for q in found if q.reason)
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
        "seeds": per_seed,
        **{name: _over_seeds(per_seed, name) for name in ("best", "top10", "top50")},
        "charged_evaluations": sum(seed["charged"] for seed in per_seed),
        "uncharged_evaluations": sum(r.uncharged for r in rounds),
        "failures": dict(reasons.most_common(_REASONS)),
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
    }


def _over_seeds(per_seed: list[dict[str, Any]], name: str) -> dict[str, float | None]:
    values = [seed[name] for seed in per_seed]
    if any(value is None for value in values):
        return {"mean": None, "sd": None}
    return {"mean": float(np.mean(values)), "sd": float(np.std(values))}
