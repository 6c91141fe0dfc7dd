"""Scores of many molecules: each is evaluated once and cached soon after."""

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
from wrlso.evaluation.values import as_score
from wrlso.evaluation.workers import WorkerPool

_FORMAT = 2
"""Version of the cached files, part of their names."""

_COMMIT = 1.0
"""Maximum number of seconds of work that a kill loses."""


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
    """Score molecules in worker processes, or read the scores that earlier calls have cached.

    A molecule has no score if the objective raises, returns a value that is not a finite number,
    hangs, or kills its process. The failure is cached with its reason. A call with another time
    limit scores the molecule again.

    Args:
      smiles: N molecules.
      objective: the objective; its key and RDKit's version identify the cached scores.
      directory: folder of the cached scores; it is made if it does not exist.
      workers: number of processes; None: one per core.
      timeout: maximum number of seconds per molecule; None: no limit.
      progress: show a bar.

    Raises:
      RuntimeError: if workers cannot load the objective.
      TypeError: if it cannot be sent to them.
    """
    recipe = repr((_FORMAT, objective.key, rdkit.__version__))
    digest = hashlib.sha256(recipe.encode()).hexdigest()[:24]
    with closing(open_scores(Path(directory) / f"scores-{digest}.sqlite")) as cache:
        distinct = dict.fromkeys(smiles)
        entries = _read_cached(cache, distinct, timeout)
        missing = [text for text in distinct if text not in entries]
        if missing:
            label = f"scoring molecules: {objective.name}" if progress else None
            entries |= _score_missing(cache, missing, objective, workers, timeout, label)
    scores = np.array([entries[text][0] for text in smiles], np.float64)  # None becomes NaN
    failures = {text: reason for text in distinct if (reason := entries[text][1]) is not None}
    return Scores(scores, failures)


def open_scores(path: Path) -> sqlite3.Connection:
    """Open a file of cached scores, or make it; several processes may do so at once."""
    path.parent.mkdir(parents=True, exist_ok=True)
    cache = sqlite3.connect(path, isolation_level=None, timeout=60)
    cache.execute("BEGIN IMMEDIATE")  # unlike other statements, it waits for other processes
    cache.execute(
        "CREATE TABLE IF NOT EXISTS scores "
        "(smiles TEXT PRIMARY KEY, score REAL, reason TEXT, timeout REAL) WITHOUT ROWID"
    )
    cache.execute("COMMIT")
    return cache


_Entry = tuple[float | None, str | None]
"""A score and None, or None and the reason."""

_Entries = dict[str, _Entry]
"""Entries by SMILES."""


def _read_cached(
    cache: sqlite3.Connection, smiles: dict[str, None], timeout: float | None
) -> _Entries:
    query = "SELECT smiles, score, reason FROM scores WHERE reason IS NULL OR timeout IS ?"
    rows = cache.execute(query, (timeout,))
    return {text: (score, reason) for text, score, reason in rows if text in smiles}


def _score_missing(
    cache: sqlite3.Connection,
    smiles: list[str],
    objective: Objective,
    workers: int | None,
    timeout: float | None,
    label: str | None,
) -> _Entries:
    """Score molecules, and write the entries to the cache about once per second."""
    entries: _Entries = {}
    unsaved: _Entries = {}

    def save() -> None:
        cache.execute("BEGIN IMMEDIATE")
        rows = [(text, *entry, timeout) for text, entry in unsaved.items()]
        cache.executemany("INSERT OR REPLACE INTO scores VALUES (?, ?, ?, ?)", rows)
        cache.execute("COMMIT")
        entries.update(unsaved)
        unsaved.clear()

    bar = tqdm(total=len(smiles), desc=label, unit=" molecules", disable=label is None)
    with bar:
        try:
            since = time.monotonic()
            for text, entry in _scored_in_workers(smiles, objective, workers, timeout):
                unsaved[text] = entry
                bar.update()
                if time.monotonic() - since > _COMMIT:
                    save()
                    since = time.monotonic()
        finally:
            save()
    return entries


def _scored_in_workers(
    smiles: list[str], objective: Objective, workers: int | None, timeout: float | None
) -> Iterator[tuple[str, _Entry]]:
    """Molecules and their entries, in any order.

    A batch that took too long or lost its process is scored again, molecule by molecule.
    """
    n = objective.batch_size
    single = smiles if n == 1 else []
    if n > 1:
        batches = [smiles[i : i + n] for i in range(0, len(smiles), n)]
        with WorkerPool(partial(_score_batch, objective.score), workers, timeout) as pool:
            for outcome in pool.outcomes(batches):
                batch = batches[outcome.position]
                if outcome.kind == "ok":
                    yield from zip(batch, outcome.value, strict=True)
                else:
                    single += batch
    if single:
        with WorkerPool(objective.score, workers, timeout) as pool:
            for position, score, _, reason in pool.scored(single):
                yield single[position], (None if reason else score, reason)


def _score_batch(score: Callable[[str], float], smiles: list[str]) -> list[_Entry]:
    """Score a batch; this runs in a worker process."""
    entries: list[_Entry] = []
    for text in smiles:
        try:
            number, reason = as_score(score(text))
            entries.append((None if reason else number, reason))
        except Exception as error:
            entries.append((None, f"{type(error).__name__}: {error}"))
    return entries


def describe_failures(scores: Scores, kinds: int = 3) -> str:
    """The number of molecules without a score, and the most frequent reasons."""
    counts = Counter(scores.failures.values()).most_common()
    shown = [f"  {count} x {reason}" for reason, count in counts[:kinds]]
    more = [f"  and {len(counts) - kinds} other reasons"] if len(counts) > kinds else []
    head = f"{len(scores.failures)} of {len(scores.scores)} molecules have no score, left out"
    return "\n".join([head, *shown, *more])
