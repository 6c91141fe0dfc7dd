"""Scores of many molecules: each is evaluated once and kept soon after.

A score is kept only if it is one: a failure may have been the licence server's. Kept scores of a
user's function or program are not trusted blindly, as it may depend on a file that has changed: a
few are evaluated again, and all if these differ.
"""

import hashlib
import logging
import math
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from tqdm import tqdm

from wrlso.chem.objective import Objective
from wrlso.chem.score_cache import ScoreCache, score_file
from wrlso.evaluation.objective import HostEvaluator, HostObjective
from wrlso.evaluation.pools import rescoring
from wrlso.storage.bars import bars_shown

_logger = logging.getLogger(__name__)

_COMMIT = 1.0
"""Maximum number of seconds of work that a kill loses."""

_CHECKED = 3
"""Number of known scores that are evaluated again to check all of them."""


class Scores(NamedTuple):
    """Scores of N molecules.

    Attributes:
      scores: ``[N]`` float64; NaN for a molecule without a score.
      failures: the reason for each missing score, by SMILES.
    """

    scores: np.ndarray
    failures: dict[str, str]


def score_molecules(
    smiles: Sequence[str],
    objective: Objective,
    directory: Path | str,
    workers: int | None = None,
    timeout: float | None = None,
    progress: bool = True,
) -> Scores:
    """Score molecules in worker processes or on the chosen executor, or read the scores that
    earlier calls have kept.

    A molecule has no score if the objective raises, returns a value that is no score
    (:func:`wrlso.evaluation.values.as_score`), hangs, or kills its process. The next call evaluates
    it again. Three kept scores of a user's function or program are evaluated again first, and all
    if one of them differs. In a block of ``evaluating(rescore=True)`` all are.

    Args:
      smiles: N molecules.
      objective: the objective; its key identifies the kept scores.
      directory: folder of the kept scores; it is made if it does not exist.
      workers: number of processes; None: one per core.
      timeout: maximum number of seconds per molecule; None: no limit.
      progress: show a bar.

    Raises:
      EvaluationError: if workers cannot load the objective, or none of the first molecules is
        answered.
      TypeError: if it cannot be sent to them.
    """
    evaluate = partial(_evaluate, objective, workers, timeout)
    with closing(ScoreCache(score_file(directory, objective))) as cache:
        distinct = dict.fromkeys(smiles)
        known = {} if rescoring() else cache.read(distinct)
        if known and not objective.built_in and _differ(known, evaluate, objective.name):
            cache.forget()
            known = {}
        missing = [text for text in distinct if text not in known]
        failures: dict[str, str] = {}
        if missing:
            label = f"scoring molecules: {objective.name}" if progress else None
            for text, score, reason in _kept_soon(cache, evaluate(missing), len(missing), label):
                if reason is None:
                    known[text] = score
                else:
                    failures[text] = reason
    return Scores(np.array([known.get(text, math.nan) for text in smiles], np.float64), failures)


def check_scores(
    smiles: Sequence[str],
    scores: np.ndarray,
    name: str,
    objective: Objective,
    workers: int | None = None,
    timeout: float | None = None,
) -> None:
    """Check the scores ``[N]`` of a file by evaluating three of the molecules.

    Scores that merely differ, as measurements do from a prediction, are warned of.

    Args:
      smiles: N molecules.
      scores: their scores, in the file's column.
      name: of the column.
      objective, workers, timeout: as for :func:`score_molecules`.

    Raises:
      ValueError: if they have another sign or unit than the objective.
    """
    order = np.argsort(scores, kind="stable")
    places = dict.fromkeys(
        int(order[i]) for i in np.linspace(0, len(order) - 1, _CHECKED).astype(int)
    )
    chosen = {smiles[i]: float(scores[i]) for i in places}
    _logger.warning(f"checking {len(chosen)} scores of column {name!r} by the objective")
    pairs = [
        (text, chosen[text], score)
        for text, score, reason in _evaluate(objective, workers, timeout, list(chosen))
        if reason is None and not _equal(chosen[text], score)
    ]
    if not pairs:
        return
    shown = "; ".join(f"{text}: {stated:g} in the file, {now:g} now" for text, stated, now in pairs)
    ratios = [now / stated if stated else math.nan for _, stated, now in pairs]
    remedy = "convert the column, or leave score_column out, or score anew (rescore)"
    if all(abs(ratio + 1) < 0.01 for ratio in ratios):
        raise ValueError(
            f"score_column = {name!r} has the opposite sign of the objective ({shown}): {remedy}"
        )
    if len(pairs) > 1 and ratios[0] and all(abs(ratio / ratios[0] - 1) < 0.01 for ratio in ratios):
        raise ValueError(
            f"score_column = {name!r} is in another unit than the objective, which is "
            f"{ratios[0]:.4g} times as large ({shown}): {remedy}"
        )
    _logger.warning(
        f"score_column = {name!r} differs from the objective ({shown}). The run compares both: if "
        f"they do not mean the same, {remedy}"
    )


def _differ(known: Mapping[str, float], evaluate: "_Evaluate", name: str) -> bool:
    """Whether one of a few kept scores is another one now; a failure now tells nothing."""
    few = sorted(known, key=lambda text: hashlib.sha256(text.encode()).digest())[:_CHECKED]
    for text, score, reason in evaluate(few):
        if reason is None and not _equal(known[text], score):
            _logger.warning(
                f"{name} gives {score:g} for {text}, for which {known[text]:g} was kept: all "
                f"{len(known)} kept scores are forgotten, and the molecules scored again. An "
                "objective with random parts needs a fixed seed to avoid this."
            )
            return True
    return False


def _equal(kept: float, now: float) -> bool:
    return math.isclose(kept, now, rel_tol=1e-6, abs_tol=1e-9)


_Scored = Iterator[tuple[str, float, str | None]]
"""Molecules with a score and None, or NaN and the reason, in any order."""

_Evaluate = Callable[[list[str]], _Scored]


def _evaluate(
    objective: Objective, workers: int | None, timeout: float | None, smiles: list[str]
) -> _Scored:
    """Evaluate molecules; a batch that fails as a whole is evaluated one by one."""
    score: Callable[[Any], Any] = objective.score
    if objective.batch_size > 1 and not objective.together:
        score = partial(_score_each, score)
    host = HostObjective(
        score,
        workers=workers,
        timeout=timeout,
        batch_size=objective.batch_size,
        hint=objective.hint,
    )
    with HostEvaluator(host) as evaluator:
        for outcome in evaluator.outcomes("score", smiles):
            found = outcome.kind == "ok"
            score_now = float(outcome.value) if found else math.nan
            yield smiles[outcome.position], score_now, None if found else outcome.reason


def _score_each(score: Callable[[str], Any], smiles: list[str]) -> list[Any]:
    """Score molecules one by one; this runs in a worker process."""
    values: list[Any] = []
    for text in smiles:
        try:
            values.append(score(text))
        except Exception as error:
            values.append(error)
    return values


def _kept_soon(cache: ScoreCache, scored: _Scored, total: int, label: str | None) -> _Scored:
    """The same molecules; their scores are written to the cache about once per second."""
    unsaved: dict[str, float] = {}
    since = time.monotonic()
    with tqdm(
        total=total, desc=label, unit=" molecules", disable=label is None or not bars_shown()
    ) as bar:
        try:
            for text, score, reason in scored:
                if reason is None:
                    unsaved[text] = score
                bar.update()
                yield text, score, reason
                if time.monotonic() - since > _COMMIT:
                    cache.keep(unsaved)
                    unsaved.clear()
                    since = time.monotonic()
        finally:
            cache.keep(unsaved)


def describe_failures(scores: Scores, kinds: int = 3) -> str:
    """The number of molecules without a score, and the most frequent reasons."""
    counts = Counter(scores.failures.values()).most_common()
    shown = [f"  {count} x {reason}" for reason, count in counts[:kinds]]
    more = [f"  and {len(counts) - kinds} other reasons"] if len(counts) > kinds else []
    head = f"{len(scores.failures)} of {len(scores.scores)} molecules have no score, left out"
    return "\n".join([head, *shown, *more])
