"""The numbers of a run, computed from its log; they can be computed again at any time."""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from wrlso.runs.checkpoints import OpenRun
from wrlso.runs.config import RunConfig
from wrlso.runs.folder import RunFolder
from wrlso.runs.log import Query, QueryLog, Round
from wrlso.status import Status
from wrlso.tasks import base as tasks
from wrlso.tasks.base import Task

_VARYING = re.compile(r"'[^']*'|\"[^\"]*\"|[-+]?\d+(?:\.\d+)?(?:e[-+]?\d+)?")
"""The parts of a reason that may differ from one failure to the next of its kind."""

_REASONS = 5
"""Maximum number of reasons for failures in a summary; the most frequent ones are listed."""


def charged_scores(queries: Sequence[Query]) -> np.ndarray:
    """The scores ``[n]`` of a seed's charged queries in order; NaN for a query without a score."""
    charged = [q for q in queries if q.status.charged]
    return np.array([np.nan if q.score is None else q.score for q in charged], float)


def best_so_far(scores: np.ndarray, sign: float = 1.0) -> np.ndarray:
    """The running best ``[n]``; NaN before the first query with a score.

    ``sign`` is 1, or -1 if lower scores are better.
    """
    return sign * np.fmax.accumulate(sign * scores) if len(scores) else scores


def top_mean(scores: np.ndarray, n: int, sign: float = 1.0) -> float | None:
    """Mean of the n best scores, or of all scores if there are fewer; None if there is no score."""
    top = np.sort(sign * scores[np.isfinite(scores)])[::-1][:n]
    return float(sign * top.mean()) if len(top) else None


def best_query(queries: Sequence[Query], sign: float = 1.0) -> Query | None:
    """The first of the queries with the best score, or None."""
    scored = [q for q in queries if q.score is not None]
    return max(scored, key=lambda q: sign * (q.score or 0.0), default=None)


def grouped(reasons: Iterable[str]) -> dict[str, int]:
    """The most frequent reasons and their numbers; those that differ in numbers or in quoted words
    only are one, in the words of the first."""
    examples: dict[str, str] = {}
    counts: Counter[str] = Counter()
    different: dict[str, set[str]] = {}
    for reason in reasons:
        kind = _VARYING.sub("_", reason)
        examples.setdefault(kind, reason)
        different.setdefault(kind, set()).add(reason)
        counts[kind] += 1
    names = {
        kind: text if len(different[kind]) == 1 else f"{text} (and the like)"
        for kind, text in examples.items()
    }
    shown = {names[kind]: n for kind, n in counts.most_common(_REASONS)}
    others = sum(counts.values()) - sum(shown.values())
    return shown | ({"other reasons": others} if others else {})


def describer(task: Task) -> Callable[[Query], str] | None:
    """A function from a query to its object as a line of text; None if the task has no text form.

    The line is empty if the object has no text form.
    """
    describe = tasks.describer(task)
    return None if describe is None else lambda query: query.text or describe(query.object)


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
    """
    rounds = log.rounds()
    per_seed, told = [], list[tuple[bool, str]]()
    for seed in config.seed_numbers:  # one at a time: the texts of all may be long
        made = log.queries(seed)
        per_seed.append(_summary_of_seed(seed, made, rounds, describe, config.sign))
        told += [
            (q.status == Status.REFUSED, q.reason)
            for q in made
            if q.reason and q.status != Status.OK
        ]
    reasons, refused = (
        grouped(reason for is_refused, reason in told if is_refused == wanted)
        for wanted in (False, True)
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
        "minimize": config.minimize,
        "starting": dict(config.starting),
        "seeds": per_seed,
        **{name: _over_seeds(per_seed, name) for name in ("best", "top10", "top50")},
        "charged_evaluations": sum(seed["charged"] for seed in per_seed)
        + int(config.starting.get("initial", 0)),
        "uncharged_evaluations": sum(r.uncharged for r in rounds),
        "failures": reasons,
        "refusals": refused,
        "elsewhere": len({told.object for told in log.elsewhere()}),
        "diverged_retrainings": sum(r.diverged for r in rounds),
        "wall_seconds": wall_seconds(seconds),
        "compile_seconds": seconds.get("compile", 0.0),
        "seconds": seconds,
        "compilations": compilations,
        "side_by_side": side_by_side,
    }


def write_summaries(runs: Sequence[OpenRun], task: Task, compilations: dict[str, int]) -> None:
    """Write each run's summary: last, as a run with a summary is left as it is."""
    describe = describer(task)
    for run in runs:
        config, log = run.folder.config, run.log
        summary = summarize(config, log, compilations, len(runs), task.stated, describe)
        log.tidy()
        run.folder.save_summary(summary)


def summarize_again(folder: RunFolder, log: QueryLog, old: Mapping[str, Any]) -> None:
    """Write the summary of a finished run again, once results of its log were corrected.

    It is not written if the run has grown meanwhile.

    Args:
      folder: the run's folder.
      log: its log.
      old: the summary that it had.

    Raises:
      ValueError: if another process has the run's lock for longer than a minute.
    """
    with folder.locked(patience=60.0):
        if folder.stored_config().budget != folder.config.budget:
            return
        compiled, together = old["compilations"], old.get("side_by_side", 1)
        folder.save_summary(summarize(folder.config, log, compiled, together, old.get("stated")))


def _summary_of_seed(
    seed: int,
    queries: Sequence[Query],
    rounds: Sequence[Round],
    describe: Callable[[Query], str] | None,
    sign: float,
) -> dict[str, Any]:
    scores = charged_scores(queries)
    top = best_query(queries, sign)
    counts = {s.name: sum(q.status == s for q in queries) for s in Status if s != Status.UNUSED}
    return {
        "seed": seed,
        "best": top_mean(scores, 1, sign),
        "top10": top_mean(scores, 10, sign),
        "top50": top_mean(scores, 50, sign),
        "charged": len(scores),
        "retrainings": sum(r.seed == seed and r.steps > 0 and r.effective_rows > 0 for r in rounds),
        "best_object": (top.text or (describe(top) if describe else None)) if top else None,
        "status": {name: count for name, count in counts.items() if count},
        "refused": counts[Status.REFUSED.name] + sum(r.refused for r in rounds if r.seed == seed),
    }


def _over_seeds(per_seed: list[dict[str, Any]], name: str) -> dict[str, float | None]:
    values = [seed[name] for seed in per_seed]
    if any(value is None for value in values):
        return {"mean": None, "sd": None}
    return {"mean": float(np.mean(values)), "sd": float(np.std(values))}
