"""Large sets of molecules, encoded once, in parallel, and cached."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
from tqdm import tqdm

from wrlso.chem import cache
from wrlso.chem.cache import cache_path, read_arrays, write_arrays
from wrlso.chem.molecule import canonical, heavy_atoms, parse
from wrlso.chem.tokens import PADDING, Alphabet, join, pack, split_as_written
from wrlso.evaluation.workers import WorkerPool

_FORMAT = 3
"""Version of the cached files, part of their names."""

_CHUNK = 1000

Result = TypeVar("Result")


class Corpus(NamedTuple):
    """N molecules, in the order of the given SMILES.

    Attributes:
      smiles: canonical SMILES.
      tokens: ``[N, L]`` uint8, numbers of tokens of ``alphabet``.
      heavy_atoms: ``[N]`` uint16, number of atoms other than hydrogen.
      alphabet: the tokens that occur.
      altered: indices of the molecules whose tokens decode to another canonical SMILES.
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
    """Encode molecules, or read the cached result of an earlier call with the same molecules.

    The tokens of every molecule are decoded again and compared with it. The name of the cached file
    depends on the molecules and on the versions of its format, RDKit and SELFIES.

    Args:
      smiles: N molecules, at least one.
      directory: folder of the cache; it is made if it does not exist.
      stereo: keep the configuration of centres and double bonds.
      workers: number of processes; None: one per core.
      progress: show a bar.

    Raises:
      ValueError: if there are no molecules, or some cannot be encoded. The message has the first of
        them and the reason. ``wrlso.chem.load`` rejects such molecules beforehand.
    """
    if len(smiles) == 0:
        raise ValueError("there are no molecules to encode")
    path = cache_path(directory, "corpus", smiles, _FORMAT, stereo)
    cached = read_arrays(path)
    if cached is not None:
        return _unpack(cached)
    label = "encoding molecules" if progress else None
    chunks = map_chunks(partial(_encode, stereo=stereo), smiles, workers, label)
    refused = [why for chunk in chunks for why in chunk["refused"]]
    if refused:
        raise ValueError(
            f"{len(refused)} of {len(smiles)} molecules cannot be encoded (wrlso.chem.load "
            f"rejects such lines of a file); the first: {refused[0]}"
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
    """Apply a function to chunks of a thousand items, in worker processes.

    Args:
      function: function of a list of items; cloudpickle must be able to send it.
      items: the items; the results of the chunks are in their order.
      workers: number of processes; None: one per core. With 1 worker or a single chunk, this
        process does the work.
      label: label of the progress bar; None: no bar.

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
    """Encode a chunk with token numbers of its own, from 1 on; ``tokens`` lists these tokens."""
    number: dict[str, int] = {}
    rows: list[list[int]] = []
    texts, atoms, altered, refused = [], [], [], []
    for given in chunk:
        try:
            mol = parse(given)
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
    """Join the encoded chunks, with the token numbers of one alphabet."""
    alphabet = Alphabet(
        (PADDING, *sorted({t for chunk in chunks for t in chunk["tokens"]})), stereo
    )
    length = max(len(row) for chunk in chunks for row in chunk["rows"])
    tokens, altered, before = [], [], 0
    for chunk in chunks:
        numbers = np.array([0, *(alphabet.number[t] for t in chunk["tokens"])], np.uint8)
        tokens.append(numbers[pack(chunk["rows"], length)])
        altered += [before + row for row in chunk["altered"]]
        before += len(chunk["rows"])
    return {
        "smiles": cache.pack([text for chunk in chunks for text in chunk["smiles"]]),
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
