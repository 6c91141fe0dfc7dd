"""Scores of many molecules: each evaluated once, and kept as soon as it is there."""

import hashlib
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import rdkit
from tqdm import tqdm

from wrlso.chem.objective import Objective
from wrlso.evaluation.workers import WorkerPool, as_score

_FORMAT = 2
"""Version of the kept files, part of their names."""

_COMMIT = 1.0
"""Seconds of work that are lost at most if the process is killed."""


class Scores(NamedTuple):
    """``scores [N]`` float64, NaN where there is none, and why: ``failures``, reasons by SMILES."""

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
    """Score molecules in worker processes, or read what earlier calls have kept.

    A molecule on which the objective raises, returns no finite number, hangs or kills its process
    has no score, which is kept with the reason as well; it is asked for again under another time
    limit.

    Args:
      smiles: N molecules.
      objective: what scores them; kept scores are found by its key and RDKit's version.
      directory: of the kept scores; made if it is not there.
      workers: processes; None: one a core.
      timeout: seconds for one molecule; None: no limit.
      progress: show a bar.

    Raises:
      RuntimeError: if workers cannot load the objective.
      TypeError: if it cannot be sent to them.
    """
    recipe = repr((_FORMAT, objective.key, rdkit.__version__))
    digest = hashlib.sha256(recipe.encode()).hexdigest()[:24]
    with closing(open_scores(Path(directory) / f"scores-{digest}.sqlite")) as kept:
        wanted = dict.fromkeys(smiles)
        known = _known(kept, wanted, timeout)
        missing = [one for one in wanted if one not in known]
        if missing:
            label = f"scoring molecules: {objective.name}" if progress else None
            known |= _evaluate(kept, missing, objective, workers, timeout, label)
    scores = np.array([known[one][0] for one in smiles], np.float64)  # None is NaN
    failures = {one: reason for one in wanted if (reason := known[one][1]) is not None}
    return Scores(scores, failures)


def open_scores(path: Path) -> sqlite3.Connection:
    """The kept scores in a file, made if it is not there; several processes may at once."""
    path.parent.mkdir(parents=True, exist_ok=True)
    kept = sqlite3.connect(path, isolation_level=None, timeout=60)
    kept.execute("BEGIN IMMEDIATE")  # waits for other processes, as no other statement does
    kept.execute(
        "CREATE TABLE IF NOT EXISTS scores "
        "(smiles TEXT PRIMARY KEY, score REAL, reason TEXT, timeout REAL) WITHOUT ROWID"
    )
    kept.execute("COMMIT")
    return kept


_Answer = tuple[float | None, str | None]
_Known = dict[str, _Answer]


def _known(kept: sqlite3.Connection, wanted: dict[str, None], timeout: float | None) -> _Known:
    asked = "SELECT smiles, score, reason FROM scores WHERE reason IS NULL OR timeout IS ?"
    rows = kept.execute(asked, (timeout,))
    return {smiles: (score, reason) for smiles, score, reason in rows if smiles in wanted}


def _evaluate(
    kept: sqlite3.Connection,
    smiles: list[str],
    objective: Objective,
    workers: int | None,
    timeout: float | None,
    label: str | None,
) -> _Known:
    found: _Known = {}
    fresh: _Known = {}

    def keep() -> None:
        kept.execute("BEGIN IMMEDIATE")
        rows = [(one, *answer, timeout) for one, answer in fresh.items()]
        kept.executemany("INSERT OR REPLACE INTO scores VALUES (?, ?, ?, ?)", rows)
        kept.execute("COMMIT")
        found.update(fresh)
        fresh.clear()

    bar = tqdm(total=len(smiles), desc=label, unit=" molecules", disable=label is None)
    with bar:
        try:
            since = time.monotonic()
            for one, answer in _answers(smiles, objective, workers, timeout):
                fresh[one] = answer
                bar.update()
                if time.monotonic() - since > _COMMIT:
                    keep()
                    since = time.monotonic()
        finally:
            keep()
    return found


def _answers(
    smiles: list[str], objective: Objective, workers: int | None, timeout: float | None
) -> Iterator[tuple[str, _Answer]]:
    """Scores in any order. Molecules that were sent together are scored one by one where together
    they lost their process or took too long."""
    n = objective.together
    alone = smiles if n == 1 else []
    if n > 1:
        parts = [smiles[i : i + n] for i in range(0, len(smiles), n)]
        with WorkerPool(partial(_score_some, objective.score), workers, timeout) as pool:
            for outcome in pool.outcomes(parts):
                part = parts[outcome.position]
                if outcome.kind == "ok":
                    yield from zip(part, outcome.value, strict=True)
                else:
                    alone += part
    if alone:
        with WorkerPool(objective.score, workers, timeout) as pool:
            for position, score, _, reason in pool.scored(alone):
                yield alone[position], (None if reason else score, reason)


def _score_some(score: Callable[[str], float], smiles: list[str]) -> list[_Answer]:
    """In a worker process."""
    answers: list[_Answer] = []
    for one in smiles:
        try:
            number, reason = as_score(score(one))
            answers.append((None if reason else number, reason))
        except Exception as error:
            answers.append((None, f"{type(error).__name__}: {error}"))
    return answers


def describe_failures(scores: Scores, kinds: int = 3) -> str:
    """How many molecules have no score, and the most frequent reasons."""
    counts = Counter(scores.failures.values()).most_common()
    some = [f"  {count} x {reason}" for reason, count in counts[:kinds]]
    more = [f"  and {len(counts) - kinds} other reasons"] if len(counts) > kinds else []
    head = f"{len(scores.failures)} of {len(scores.scores)} molecules have no score, left out"
    return "\n".join([head, *some, *more])
