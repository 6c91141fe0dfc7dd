"""Whether molecules can be used, and their strings: checked once, in parallel, and cached."""

import json
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from wrlso.chem.cache import cache_path, pack, read_arrays, unpack, write_arrays
from wrlso.chem.chunks import map_chunks
from wrlso.chem.molecule import heavy_atoms, parse
from wrlso.chem.ringtree.graph import Unwritable, plain_smiles, read_graph
from wrlso.chem.ringtree.pieces import cut
from wrlso.chem.ringtree.tree import nodes_of
from wrlso.chem.ringtree.vocabulary import Vocabulary

_FORMAT = 2
"""Version of the cached files, part of their names."""


class Checks(NamedTuple):
    """The conditions that a molecule must meet.

    Attributes:
      vocabulary: symbols that must write it; None: whatever can be written by some.
      max_symbols: maximum number of symbols; None: no limit.
      max_heavy_atoms: maximum number of atoms other than hydrogen; None: no limit.
    """

    vocabulary: Vocabulary | None
    max_symbols: int | None
    max_heavy_atoms: int | None

    def recipe(self) -> str:
        """Text that is equal for equal conditions, in every process."""
        stored = None if self.vocabulary is None else self.vocabulary.to_json()
        return json.dumps([stored, self.max_symbols, self.max_heavy_atoms], sort_keys=True)


class Verdict(NamedTuple):
    """The outcome for a molecule.

    Attributes:
      kind: of rejection; empty for none.
      text: its canonical SMILES, or the reason of the rejection.
      row: numbers of its symbols, empty without a vocabulary.
    """

    kind: str
    text: str
    row: list[int]


def check_all(
    smiles: list[str],
    checks: Checks,
    directory: Path | str | None,
    workers: int | None,
    label: str | None,
) -> list[Verdict]:
    """The verdicts on all molecules, read from the cache if they were checked before.

    Args:
      smiles: the molecules.
      checks: the conditions.
      directory: the cache; None: no cache.
      workers: number of processes; None: one per core.
      label: label of the progress bar; None: no bar.
    """
    path = None
    if directory is not None:
        path = cache_path(directory, "examined", smiles, _FORMAT, checks.recipe())
        cached = read_arrays(path)
        if cached is not None:
            rows = np.split(cached["rows"], np.cumsum(cached["lengths"])[:-1])
            texts = unpack(cached["kinds"]), unpack(cached["texts"])
            numbers = (row.tolist() for row in rows)
            return [Verdict(*one) for one in zip(*texts, numbers, strict=True)]
    chunks = map_chunks(partial(_check_chunk, checks=checks), smiles, workers, label)
    verdicts = [verdict for chunk in chunks for verdict in chunk]
    if path is not None:
        arrays = {
            "kinds": pack([verdict.kind for verdict in verdicts]),
            "texts": pack([verdict.text for verdict in verdicts]),
            "rows": np.array([n for verdict in verdicts for n in verdict.row], np.uint16),
            "lengths": np.array([len(verdict.row) for verdict in verdicts], np.int64),
        }
        write_arrays(path, arrays)
    return verdicts


def _check_chunk(chunk: list[str], checks: Checks) -> list[Verdict]:
    def check(smiles: str) -> Verdict:
        try:
            mol = parse(smiles)
        except ValueError as error:
            return Verdict("not a molecule", str(error), [])
        atoms = heavy_atoms(mol)
        if checks.max_heavy_atoms is not None and atoms > checks.max_heavy_atoms:
            reason = f"{atoms}, more than {checks.max_heavy_atoms}"
            return Verdict("too many heavy atoms", reason, [])
        if "." in smiles:
            reason = "several molecules, joined by '.': keep one of them"
            return Verdict("several molecules", reason, [])
        if any(atom.GetAtomicNum() == 0 for atom in mol.GetAtoms()):
            return Verdict("wildcard atoms", "'*' stands for no element", [])
        try:
            text = plain_smiles(smiles)
            if checks.vocabulary is None:
                nodes_of(cut(read_graph(text)))
                return Verdict("", text, [])
            row = checks.vocabulary.write(text, canonical=True)
        except Unwritable as error:
            return Verdict(f"not writable: {error.kind}", str(error), [])
        if checks.max_symbols is not None and len(row) > checks.max_symbols:
            return Verdict("too many symbols", f"{len(row)}, more than {checks.max_symbols}", [])
        return Verdict("", text, row)

    return [check(smiles) for smiles in chunk]
