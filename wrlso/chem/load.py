"""Molecules of users' files: what is kept, what repeats another line, what is rejected and why."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from wrlso.chem.checks import Checks, Verdicts, check_all
from wrlso.chem.collection import no_collection
from wrlso.chem.files.numbers import read_numbers
from wrlso.chem.files.read import read_records
from wrlso.chem.files.records import Columns, Records, Rejection
from wrlso.chem.loaded import Duplicate, Findings, Molecules
from wrlso.chem.report import why_rejected
from wrlso.chem.ringtree.vocabulary import Vocabulary
from wrlso.chem.standardize import described
from wrlso.chem.zinc import ZINC_NAME, is_zinc, read_zinc
from wrlso.replicates import Replicates, check_replicates, combine

_SHOWN = 3

_LONGEST = 1000
"""Characters of a rejected text that are kept."""


def load_molecules(
    path: Path | str,
    *,
    column: str = "smiles",
    score_column: str | None = None,
    delimiter: str | None = None,
    replicates: Replicates = "mean",
    minimize: bool = False,
    standardize: bool = False,
    vocabulary: Vocabulary | None = None,
    max_symbols: int | None = None,
    max_heavy_atoms: int | None = None,
    workers: int | None = None,
    progress: bool = True,
    directory: Path | str | None = None,
) -> Molecules:
    """Read molecules from a file: SDF, a table, or one SMILES per line with a name after it.

    The file may be compressed by gzip, bzip2, xz or zip, and may be in UTF-8, UTF-16 or Latin-1;
    Parquet is read where pandas is installed. ``zinc250k`` stands for ZINC250k of the extra
    ``zinc``. Every record of the file is a molecule, a duplicate or a rejected line, which is
    asserted. The configuration of centres and double bonds is dropped: molecules that differ in
    nothing else are duplicates.

    Args:
      path: the file.
      column: name of the column that holds the SMILES of a table, or its number from 1; case does
        not matter. For SDF, a property that holds SMILES instead of the block.
      score_column: the same for the scores. A line without a finite number of 32 bits there is
        rejected.
      delimiter: character between columns, 'tab' or 'space'; None: it is recognised.
      replicates: the score of a molecule with different scores on several lines: 'mean', 'median',
        'best' (the highest, or the lowest if ``minimize``), or 'refuse' such a file.
      minimize: lower scores are better.
      standardize: use the standard form of molecules, see :mod:`wrlso.chem.standardize`. Otherwise
        salts, isotopes and atom maps are rejected.
      vocabulary: symbols; a molecule that they cannot write is rejected. None: only molecules that
        no vocabulary could write are.
      max_symbols: maximum number of symbols of a molecule; None: no limit.
      max_heavy_atoms: maximum number of atoms other than hydrogen; None: 1,000.
      workers: number of processes for large files; None: one per core.
      progress: show a bar.
      directory: the cache in which the results of all checks are kept; None: no cache.

    Raises:
      ValueError: naming the file and the remedy, if the file is empty, is of another kind, lacks a
        column, or has no usable line; or if scores differ and are to be refused; or naming a limit
        below 1.
      FileNotFoundError: if the file does not exist.
    """
    check_replicates(replicates)
    if max_heavy_atoms is not None and max_heavy_atoms < 1:
        raise ValueError(f"max_heavy_atoms must be at least 1, got {max_heavy_atoms}")
    scores = None if score_column is None else str(score_column)
    columns = Columns(str(column), scores, delimiter)
    with no_collection():
        records = read_zinc() if str(path) == ZINC_NAME else read_records(path, columns)
    if is_zinc(records.smiles):
        records.notes.append("its SMILES are those of ZINC250k")
    checks = Checks(vocabulary, max_symbols, max_heavy_atoms, standardize)
    label = f"reading {Path(path).name}" if progress else None
    verdicts = check_all(records.smiles, checks, directory, workers, label)
    with no_collection():
        molecules = _accept(path, records, verdicts, replicates, minimize, vocabulary is not None)
    if not molecules.smiles:
        raise ValueError(f"no molecule in {path} can be used:\n{why_rejected(molecules)}")
    return molecules


def _accept(
    path: Path | str,
    records: Records,
    verdicts: Verdicts,
    how: Replicates,
    minimize: bool,
    written: bool,
) -> Molecules:
    """Separate molecules, duplicates and rejected lines."""
    scored = records.scores is not None
    values, why_not = read_numbers(records.scores or [])
    first, places, owner = dict[str, int](), list[int](), list[int]()
    members, rejected, duplicates = list[int](), list(records.rejected), list[Duplicate]()
    for i, (kind, text) in enumerate(zip(verdicts.kinds, verdicts.texts, strict=True)):
        if not kind and i in why_not:
            kind, text = "without a score", why_not[i]
        if kind:
            rejected.append(Rejection(records.lines[i], records.smiles[i][:_LONGEST], kind, text))
            continue
        number = first.setdefault(text, len(places))
        if number == len(places):
            places.append(i)
        else:
            at = places[number]
            stereo = bool(verdicts.stereo[i] != verdicts.stereo[at])
            line = records.lines[i]
            duplicates.append(Duplicate(line, records.smiles[i], records.lines[at], stereo))
        owner.append(number)
        members.append(i)
    if len(places) + len(duplicates) + len(rejected) != records.account.records:
        raise AssertionError(f"lines of {path} were lost: {records.account}")
    scores = None
    differing, by_stereo, spread = 0, 0, 0.0
    if scored:
        combined = combine(values[members], owner, how, minimize)
        if how == "refuse" and len(combined.differing):
            raise _refused(path, records, values, members, owner, combined.differing)
        scores, spread, differing = combined.scores, combined.spread, len(combined.differing)
        by_stereo = len(_stereo_places(duplicates, records, places, combined.differing))
    chosen = np.array(places, np.int64)
    findings = Findings(
        records.account,
        records.notes,
        int(np.count_nonzero(verdicts.stereo[chosen])),
        described(verdicts.changes[chosen]),
        int(verdicts.saved.sum()),
        differing,
        by_stereo,
        spread,
        how,
    )
    return Molecules(
        smiles=list(first),
        names=[records.names[i] for i in places],
        scores=scores,
        lines=np.array([records.lines[i] for i in places], np.int64),
        rows=_stack(verdicts, chosen) if written else None,
        rejected=sorted(rejected),
        duplicates=duplicates,
        findings=findings,
    )


def _stereo_places(
    duplicates: Sequence[Duplicate], records: Records, places: list[int], differing: np.ndarray
) -> set[int]:
    """The first lines of molecules with different scores whose lines differ in configuration."""
    lines = {records.lines[places[number]] for number in differing.tolist()}
    return {one.first for one in duplicates if one.stereo} & lines


def _refused(
    path: Path | str,
    records: Records,
    values: np.ndarray,
    members: list[int],
    owner: list[int],
    differing: np.ndarray,
) -> ValueError:
    shown = []
    for number in differing[:_SHOWN].tolist():
        at = [i for i, one in zip(members, owner, strict=True) if one == number]
        lines = ", ".join(f"{values[i]:g} on line {records.lines[i]}" for i in at[:5])
        shown.append(f"  {records.smiles[at[0]]}: {lines}")
    return ValueError(
        f"{path}: {len(differing)} molecules have different scores, and replicates = 'refuse':\n"
        + "\n".join(shown)
        + "\nchoose 'mean', 'median' or 'best', or drop lines"
    )


def _stack(verdicts: Verdicts, chosen: np.ndarray) -> np.ndarray:
    """``[N, L] uint16``: rows, ended by zeros where shorter than the longest."""
    lengths = verdicts.lengths[chosen]
    starts = (np.cumsum(verdicts.lengths, dtype=np.int64) - verdicts.lengths)[chosen]
    stacked = np.zeros((len(chosen), lengths.max(initial=0)), np.uint16)
    for i in range(stacked.shape[1]):
        has = lengths > i
        stacked[has, i] = verdicts.rows[starts[has] + i]
    return stacked
