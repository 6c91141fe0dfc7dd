"""Large sets of molecules, encoded once, in parallel, and kept in a cache."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
from tqdm import tqdm

from wrlso.chem import cache
from wrlso.chem.cache import kept_path, read_arrays, write_arrays
from wrlso.chem.molecule import canonical, heavy_atoms, parse
from wrlso.chem.tokens import PADDING, Alphabet, join, pack, split_as_written
from wrlso.evaluation.workers import WorkerPool

_FORMAT = 3
"""Version of the cached files, part of their names."""

_CHUNK = 1000

Result = TypeVar("Result")


class Corpus(NamedTuple):
    """N molecules, in the order of the SMILES they came from.

    ``smiles`` canonical; ``tokens [N, L]`` uint8 in numbers of the ``alphabet``,
    which has just the tokens that occur; ``heavy_atoms [N]`` uint16; ``altered``:
    rows whose tokens decode to a molecule of another canonical SMILES.
    """

    smiles: list[str]
    tokens: np.ndarray
    heavy_atoms: np.ndarray
    alphabet: Alphabet
    altered: np.ndarray


def encode_corpus(
    smiles: Sequence[str],
    directory: Path | str,
    stereo: bool = False,
    workers: int | None = None,
    progress: bool = True,
) -> Corpus:
    """Encode molecules, or read what an earlier call with the same molecules has kept.

    Every molecule's tokens are decoded again and compared. The kept file is found
    by a digest of the molecules, the versions of its format, RDKit and SELFIES.

    Args:
      smiles: N molecules, at least one.
      directory: of the cache; made if it is not there.
      stereo: keep the configuration of centres and double bonds.
      workers: processes; None: one for each core.
      progress: show a bar.

    Raises:
      ValueError: if there are no molecules, or some cannot be expressed: the first
        of them, with the reason. ``wrlso.chem.load`` leaves those out beforehand.
    """
    if len(smiles) == 0:
        raise ValueError("there are no molecules to encode")
    path = kept_path(directory, "corpus", smiles, _FORMAT, stereo)
    found = read_arrays(path)
    if found is not None:
        return _unpack(found)
    label = "encoding molecules" if progress else None
    chunks = map_chunks(partial(_encode, stereo=stereo), smiles, workers, label)
    refused = [why for chunk in chunks for why in chunk["refused"]]
    if refused:
        raise ValueError(
            f"{len(refused)} of {len(smiles)} molecules cannot be encoded (wrlso.chem.load "
            f"reports and leaves out such lines of a file); the first: {refused[0]}"
        )
    merged = _merge(chunks, stereo)
    write_arrays(path, merged)
    return _unpack(merged)


def map_chunks(
    function: Callable[[list[str]], Result],
    items: Sequence[str],
    workers: int | None = None,
    label: str | None = None,
) -> list[Result]:
    """Apply a function to items a thousand at a time, in worker processes.

    Args:
      function: of a list of items; anything cloudpickle can send.
      items: in the order in which the results are wanted.
      workers: processes, none if 1 or if there is but one chunk; None: one a core.
      label: of the progress bar, or None for no bar.

    Raises:
      RuntimeError: if the function raises, or a worker dies.
    """
    chunks = [list(items[i : i + _CHUNK]) for i in range(0, len(items), _CHUNK)]
    results: dict[int, Result] = {}
    with tqdm(total=len(items), desc=label, unit=" molecules", disable=label is None) as bar:
        if workers == 1 or len(chunks) < 2:
            for i, chunk in enumerate(chunks):
                results[i] = function(chunk)
                bar.update(len(chunk))
            return list(results.values())
        with WorkerPool(function, workers) as pool:
            for outcome in pool.outcomes(chunks):
                if outcome.kind != "ok":
                    first = chunks[outcome.position][0]
                    raise RuntimeError(f"{outcome.reason} (in the thousand from {first!r})")
                results[outcome.position] = outcome.value
                bar.update(len(chunks[outcome.position]))
    return [results[i] for i in range(len(chunks))]


def _encode(chunk: list[str], stereo: bool) -> dict[str, Any]:
    """A chunk in numbers of its own, from 1 on; ``tokens`` are theirs in order."""
    number: dict[str, int] = {}
    rows: list[list[int]] = []
    texts, atoms, altered, refused = [], [], [], []
    for one in chunk:
        try:
            mol = parse(one)
            text = canonical(mol, stereo)
            tokens = split_as_written(text)
        except ValueError as error:
            refused.append(str(error))
            continue
        if join("".join(tokens), stereo) != text:
            altered.append(len(rows))
        rows.append([number.setdefault(token, len(number) + 1) for token in tokens])
        texts.append(text)
        atoms.append(heavy_atoms(mol))
    return {"rows": rows, "tokens": list(number), "smiles": texts, "heavy_atoms": atoms,
            "altered": altered, "refused": refused}  # fmt: skip


def _merge(chunks: list[dict[str, Any]], stereo: bool) -> dict[str, np.ndarray]:
    alphabet = Alphabet(
        (PADDING, *sorted({t for chunk in chunks for t in chunk["tokens"]})), stereo
    )
    length = max(len(row) for chunk in chunks for row in chunk["rows"])
    tokens, altered, before = [], [], 0
    for chunk in chunks:
        ours = np.array([0, *(alphabet.number[t] for t in chunk["tokens"])], np.uint8)
        tokens.append(ours[pack(chunk["rows"], length)])
        altered += [before + row for row in chunk["altered"]]
        before += len(chunk["rows"])
    return {
        "smiles": cache.pack([one for chunk in chunks for one in chunk["smiles"]]),
        "tokens": np.concatenate(tokens),
        "heavy_atoms": np.array([n for chunk in chunks for n in chunk["heavy_atoms"]], np.uint16),
        "alphabet": cache.pack(alphabet.to_json()),
        "altered": np.array(altered, np.int64),
    }


def _unpack(arrays: dict[str, np.ndarray]) -> Corpus:
    return Corpus(
        smiles=cache.unpack(arrays["smiles"]),
        tokens=arrays["tokens"],
        heavy_atoms=arrays["heavy_atoms"],
        alphabet=Alphabet.from_json(cache.unpack(arrays["alphabet"])),
        altered=arrays["altered"],
    )
