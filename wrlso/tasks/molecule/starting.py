"""The molecules of the file that a run began with, by name."""

import inspect
from collections.abc import Mapping
from typing import Any, NamedTuple

from wrlso.chem.load import load_molecules
from wrlso.storage.cache import cache_dir
from wrlso.tasks.molecule.model import load_model
from wrlso.tasks.molecule.task import SHIPPED


class Start(NamedTuple):
    """A molecule of the file.

    Attributes:
      name: its name in the file, or the number of its line, such as ``line 12``.
      smiles: its canonical SMILES.
    """

    name: str
    smiles: str


def starting_molecules(options: Mapping[str, Any]) -> list[Start]:
    """The molecules of the file that a run began with; none if it began with the model's prior.

    Args:
      options: the task's arguments, as the run's record has them.

    Raises:
      ValueError: if the file cannot be used.
      FileNotFoundError: if it has moved.
    """
    if options.get("data") is None:
        return []
    model = load_model(options.get("model") or SHIPPED)
    loaded = load_molecules(
        options["data"],
        vocabulary=model.vocabulary,
        max_symbols=model.length,
        directory=cache_dir() / "molecules",
        **{
            name: options[name]
            for name in inspect.signature(load_molecules).parameters
            if name in options and name not in ("model", "workers")
        },
    )
    return [
        Start(name or f"line {line}", smiles)
        for name, line, smiles in zip(loaded.names, loaded.lines, loaded.smiles, strict=True)
    ]
