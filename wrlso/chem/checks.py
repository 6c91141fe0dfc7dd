"""Whether molecules can be used, and their strings: checked once, in parallel, and cached."""

import json
import re
from collections.abc import Sequence
from functools import partial
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

import numpy as np
from rdkit import Chem
from rdkit.Chem import Mol

from wrlso.chem.cache import cache_path, pack, read_arrays, unpack, write_arrays
from wrlso.chem.chunks import map_chunks
from wrlso.chem.collection import no_collection
from wrlso.chem.files.recognise import kind_of
from wrlso.chem.molecule import count_atoms, is_polymer, parse_extended
from wrlso.chem.ringtree.graph import Unwritable, graph_of, stable_smiles
from wrlso.chem.ringtree.pieces import cut
from wrlso.chem.ringtree.tree import nodes_of
from wrlso.chem.ringtree.vocabulary import Vocabulary
from wrlso.chem.standardize import can_change, standardize

_FORMAT = 4
"""Version of the cached files, part of their names."""

MOST_ATOMS = 1000
"""Atoms above which a molecule is not even read: RDKit takes minutes for 100,000."""

_MAPPED = re.compile(r":\d+\]")
_CONFIGURED = re.compile(r"[@/\\]")


class Checks(NamedTuple):
    """The conditions that a molecule must meet.

    Attributes:
      vocabulary: symbols that must write it; None: whatever can be written by some.
      max_symbols: maximum number of symbols; None: no limit.
      max_heavy_atoms: maximum number of atoms other than hydrogen; None: 1,000.
      standardize: judge its standard form, see :mod:`wrlso.chem.standardize`.
    """

    vocabulary: Vocabulary | None
    max_symbols: int | None
    max_heavy_atoms: int | None
    standardize: bool = False

    def recipe(self) -> str:
        """Text that is equal for equal conditions, in every process."""
        stored = None if self.vocabulary is None else self.vocabulary.to_json()
        return json.dumps([stored, *self[1:]], sort_keys=True)


class Verdicts(NamedTuple):
    """The outcomes for N molecules.

    Attributes:
      kinds: of rejection; empty for none.
      texts: canonical SMILES, or the reasons of rejections.
      rows: numbers of all their symbols, one molecule after the other.
      lengths: ``[N]``, number of symbols of each; 0 without a vocabulary.
      stereo: ``[N]`` uint64, a digest of the configuration that was dropped; 0 if there was none.
      changes: ``[N]`` uint8, bits of :data:`wrlso.chem.standardize.CHANGES`.
      saved: ``[N]`` booleans, true for a rejected molecule whose standard form would be accepted.
    """

    kinds: list[str]
    texts: list[str]
    rows: np.ndarray
    lengths: np.ndarray
    stereo: np.ndarray
    changes: np.ndarray
    saved: np.ndarray


class _Verdict(NamedTuple):
    kind: str
    text: str
    row: list[int]
    stereo: int = 0
    changes: int = 0
    saved: bool = False


def check_all(
    smiles: list[str],
    checks: Checks,
    directory: Path | str | None,
    workers: int | None,
    label: str | None,
) -> Verdicts:
    """The verdicts on all molecules, read from the cache if they were checked before.

    Args:
      smiles: the molecules, as SMILES or CXSMILES.
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
            kinds, texts = unpack(cached.pop("kinds")), unpack(cached.pop("texts"))
            return Verdicts(kinds=kinds, texts=texts, **cached)
    once = {text: i for i, text in enumerate(dict.fromkeys(smiles))}
    check = partial(_check_chunk, checks=checks)
    verdicts = _joined(map_chunks(check, list(once), workers, label))
    if len(once) < len(smiles):
        verdicts = _repeated(verdicts, np.array([once[text] for text in smiles]))
    if path is not None:
        arrays = verdicts._asdict()
        arrays |= {"kinds": pack(verdicts.kinds), "texts": pack(verdicts.texts)}
        write_arrays(path, arrays)
    return verdicts


def _joined(parts: Sequence[Verdicts]) -> Verdicts:
    empty = _check_chunk([], Checks(None, None, None))
    kinds = [kind for part in parts for kind in part.kinds]
    texts = [text for part in parts for text in part.texts]
    arrays = (np.concatenate([part[i] for part in (empty, *parts)]) for i in range(2, 7))
    return Verdicts(kinds, texts, *arrays)


def _repeated(verdicts: Verdicts, places: np.ndarray) -> Verdicts:
    """The verdicts at places ``[M]``, any number of times each."""
    lengths = verdicts.lengths[places]
    starts = (np.cumsum(verdicts.lengths, dtype=np.int64) - verdicts.lengths)[places]
    ends = np.cumsum(lengths, dtype=np.int64)
    within = np.arange(lengths.sum()) - np.repeat(ends - lengths, lengths)
    return Verdicts(
        [verdicts.kinds[i] for i in places],
        [verdicts.texts[i] for i in places],
        verdicts.rows[np.repeat(starts, lengths) + within],
        lengths,
        *(array[places] for array in verdicts[4:]),
    )


def _check_chunk(chunk: list[str], checks: Checks) -> Verdicts:
    """The verdicts on some molecules, compact; this runs in a worker process."""
    with no_collection():
        found = [_examine(text, checks) for text in chunk]
    return Verdicts(
        [one.kind for one in found],
        [one.text for one in found],
        np.array([number for one in found for number in one.row], np.uint16),
        np.array([len(one.row) for one in found], np.int32),
        np.array([one.stereo for one in found], np.uint64),
        np.array([one.changes for one in found], np.uint8),
        np.array([one.saved for one in found], bool),
    )


def _examine(text: str, checks: Checks) -> _Verdict:
    try:
        most = max(checks.max_heavy_atoms or 0, MOST_ATOMS)
        atoms = count_atoms(text.partition(" ")[0]) if len(text) > most else 0
        if atoms > most:
            return _Verdict("too many heavy atoms", f"{atoms}, more than {most}", [])
        mol = _read(text)
        if isinstance(mol, _Verdict):
            return mol
        if checks.standardize:
            mol, changes = standardize(mol)
            verdict = _judge(mol, "", checks)
            return verdict if verdict.kind else verdict._replace(changes=changes)
        verdict = _judge(mol, text, checks)
        if verdict.kind:
            mol = parse_extended(text)  # as judging changes it
            if can_change(mol):
                return verdict._replace(saved=not _judge(standardize(mol)[0], "", checks).kind)
        return verdict
    except Exception as error:  # one molecule must not cost the others
        return _Verdict("not a molecule", f"{type(error).__name__}: {error}", [])


def _read(text: str) -> Mol | _Verdict:
    try:
        return parse_extended(text)
    except ValueError as error:
        other = kind_of(text)
        return _Verdict("not a molecule", other or str(error), [])


def _judge(mol: Mol, given: str, checks: Checks) -> _Verdict:
    """The verdict on a molecule, whose stereochemistry is removed.

    Args:
      mol: the molecule.
      given: the text that it was read from; empty if it was changed since.
      checks: the conditions.
    """
    atoms, most = mol.GetNumHeavyAtoms(), checks.max_heavy_atoms
    if most is not None and atoms > most:
        return _Verdict("too many heavy atoms", f"{atoms}, more than {most}", [])
    if atoms == 0:
        return _Verdict("no heavy atom", "it has no atom other than hydrogen", [])
    whole = Chem.MolToSmiles(mol)  # searched for signs: RDKit's loops over atoms take longer
    if "." in whole:
        reason = "several molecules, joined by '.': keep one of them"
        return _Verdict("several molecules", reason, [])
    if is_polymer(mol):
        return _Verdict("polymers", "it stands for a polymer or a mixture", [])
    if "*" in whole:
        return _Verdict("wildcard atoms", "'*' stands for no element", [])
    if _MAPPED.search(whole):
        return _Verdict("atom maps", "its atoms are numbered, as in a reaction", [])
    try:
        return _write(mol, whole, given, checks)
    except Unwritable as error:
        return _Verdict(f"not writable: {error.kind}", str(error), [])


def _write(mol: Mol, whole: str, given: str, checks: Checks) -> _Verdict:
    """The verdict on a molecule of one piece, from its SMILES with stereochemistry. A given
    text that is that SMILES, and has none, is not read and written again."""
    stereo, plain = 0, whole
    if _CONFIGURED.search(whole):
        Chem.RemoveStereochemistry(mol)
        plain = Chem.MolToSmiles(mol)
        stereo = int.from_bytes(blake2b(whole.encode(), digest_size=8).digest()) or 1
    text, graph = (plain, graph_of(mol, plain)) if plain == given else stable_smiles(plain)
    row: list[int] = []
    if checks.vocabulary is None:
        nodes_of(cut(graph))
    else:
        row = checks.vocabulary.write_graph(graph, text)
        if checks.max_symbols is not None and len(row) > checks.max_symbols:
            return _Verdict("too many symbols", f"{len(row)}, more than {checks.max_symbols}", [])
    return _Verdict("", text, row, stereo)
