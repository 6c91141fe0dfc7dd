"""Filters of molecules: substructures, structural alerts, windows of properties.

A filter is a function from a molecule to None, if it passes, or to a short reason. The text before
the parenthesis of a reason is the same for all molecules that fail the same condition. Filters can
be pickled, so worker processes can call them.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from rdkit import Chem
from rdkit.Chem import Mol
from rdkit.Chem.FilterCatalog import FilterCatalog, FilterCatalogParams
from rdkit.rdBase import BlockLogs

from wrlso.chem.descriptors import check_descriptor, describe
from wrlso.chem.molecule import parse

ALERTS: dict[str, str] = {
    name.lower(): name for name in FilterCatalogParams.FilterCatalogs.names if name != "ALL"
}
"""Names of RDKit's catalogues of structural alerts: of users, to RDKit's."""

Window = tuple[float | None, float | None]
"""The lowest and the highest value that pass; None: no limit."""


@dataclass(frozen=True)
class Required:
    """A SMARTS pattern that must occur."""

    smarts: str

    def __call__(self, mol: Mol) -> str | None:
        return None if mol.HasSubstructMatch(pattern(self.smarts)) else f"lacks {self.smarts}"


@dataclass(frozen=True)
class Forbidden:
    """A SMARTS pattern that must not occur."""

    smarts: str

    def __call__(self, mol: Mol) -> str | None:
        return f"holds {self.smarts}" if mol.HasSubstructMatch(pattern(self.smarts)) else None


@dataclass(frozen=True)
class Alerts:
    """A catalogue of structural alerts, none of which may occur."""

    name: str

    def __call__(self, mol: Mol) -> str | None:
        found = alerts_of(mol, self.name)
        return f"{self.name} alert ({found[0]})" if found else None


@dataclass(frozen=True)
class Within:
    """A window of a property, ends included."""

    name: str
    low: float | None
    high: float | None

    def __call__(self, mol: Mol) -> str | None:
        value = describe(mol, self.name)
        if self.low is not None and not value >= self.low:
            return f"{self.name} below {self.low:g} ({value:.4g})"
        if self.high is not None and not value <= self.high:
            return f"{self.name} above {self.high:g} ({value:.4g})"
        return None


@dataclass(frozen=True)
class MoleculeFilter:
    """All of some conditions.

    Attributes:
      conditions: functions from an RDKit molecule to None or a reason.
    """

    conditions: tuple[Callable[[Mol], str | None], ...]

    @property
    def limits_size(self) -> bool:
        """Whether large molecules fail."""
        return any(
            isinstance(one, Within)
            and one.high is not None
            and one.name in ("heavy_atoms", "molecular_weight")
            for one in self.conditions
        )

    def __call__(self, molecule: str | Mol) -> str | None:
        """None if a molecule meets all conditions, or the reason of the first that it does not.

        Text that is not the SMILES of a molecule fails with RDKit's reason; so does a molecule that
        has no such property, as radicals have no QED.
        """
        try:
            mol = parse(molecule)
            reasons = (condition(mol) for condition in self.conditions)
            return next((reason for reason in reasons if reason is not None), None)
        except ValueError as error:
            return str(error)


def molecule_filter(
    *,
    require: str | Sequence[str] = (),
    forbid: str | Sequence[str] = (),
    alerts: str | Sequence[str] = (),
    max_weight: float | None = None,
    min_heavy_atoms: int | None = None,
    max_heavy_atoms: int | None = None,
    windows: Mapping[str, Window] | None = None,
) -> MoleculeFilter:
    """Make one filter of several conditions; the cheap ones are asked first.

    Args:
      require: SMARTS patterns that must all occur.
      forbid: SMARTS patterns of which none may occur.
      alerts: catalogues of structural alerts of which none may occur: pains, brenk, nih, chembl and
        the other names of :data:`ALERTS`, in any case.
      max_weight: maximum molecular weight in g/mol, hydrogens included; None: no limit.
      min_heavy_atoms, max_heavy_atoms: limits of the number of atoms other than hydrogen.
      windows: lowest and highest value by name of a property, one of
        :data:`wrlso.chem.descriptors.DESCRIPTORS`, as in ``{"logp": (0, 3), "qed": (0.5, None)}``.

    Returns:
      The filter: a function from a SMILES or an RDKit molecule to None or a reason.

    Raises:
      ValueError: if a pattern, a catalogue, a property or a limit is invalid.
    """
    if max_weight is not None and not max_weight > 0:
        raise ValueError(f"max_weight must be a positive number of g/mol, got {max_weight:g}")
    if max_heavy_atoms is not None and max_heavy_atoms < 1:
        raise ValueError(f"max_heavy_atoms must be at least 1, got {max_heavy_atoms}")
    atoms = window_of("heavy_atoms", (min_heavy_atoms, max_heavy_atoms), "min_ and max_heavy_atoms")
    weight = window_of("molecular_weight", (None, max_weight), "max_weight")
    given = {name: window_of(name, window) for name, window in (windows or {}).items()}
    conditions: list[Callable[[Mol], str | None] | None] = [
        _both(atoms, given.pop("heavy_atoms", None)),
        _both(weight, given.pop("molecular_weight", None)),
        *(Required(check_smarts(one, "require")) for one in _several(require)),
        *(Forbidden(check_smarts(one, "forbid")) for one in _several(forbid)),
        *given.values(),
        *(Alerts(check_alerts(one)) for one in dict.fromkeys(_several(alerts))),
    ]
    return MoleculeFilter(tuple(one for one in conditions if one is not None))


def check_smarts(smarts: str, argument: str = "smarts") -> str:
    """The pattern itself, if it is one.

    Raises:
      ValueError: if RDKit cannot read it, or it has no atoms; it names the argument.
    """
    with BlockLogs():
        read = Chem.MolFromSmarts(smarts) if smarts.split() == [smarts] else None
    if read is None or read.GetNumAtoms() == 0:
        raise ValueError(
            f"{argument} = {smarts!r} is not a SMARTS pattern: give one such as 'c1ccccc1' or "
            "'[NX3;H2]', in quotes"
        )
    return smarts


def check_alerts(name: str, argument: str = "alerts") -> str:
    """The user's name of a catalogue in lower case, if there is one.

    Raises:
      ValueError: if there is no such catalogue; it names the argument.
    """
    known = name.lower().replace("-", "_")
    if known not in ALERTS:
        raise ValueError(
            f"{argument} = {name!r}: there is no such catalogue of structural alerts; there are: "
            f"{', '.join(ALERTS)}"
        )
    return known


def alerts_of(molecule: str | Mol, name: str) -> list[str]:
    """Descriptions of the structural alerts of a catalogue that a molecule holds.

    Source: RDKit's FilterCatalog, which names the source of each catalogue.

    Raises:
      ValueError: if it is not a molecule, or there is no such catalogue.
    """
    matches = _catalogue(check_alerts(name)).GetMatches(parse(molecule))
    return [entry.GetDescription() for entry in matches]


def window_of(name: str, window: Window, argument: str = "windows") -> Within | None:
    """The condition of a window, or None without limits.

    Raises:
      ValueError: if there is no such property, or no value is within; it names the argument.
    """
    check_descriptor(name, argument)
    try:
        low, high = (None if limit is None else float(limit) for limit in window)
    except (TypeError, ValueError):
        raise ValueError(
            f"{argument}: {name} needs a lowest and a highest value, such as (0, 3) or (0.5, None)"
            f", got {window!r}"
        ) from None
    if any(limit is not None and math.isnan(limit) for limit in (low, high)):
        raise ValueError(f"{argument}: a limit of {name} is not a number: give a number, or None")
    if low is not None and high is not None and low > high:
        raise ValueError(
            f"{argument}: no {name} is at least {low:g} and at most {high:g}: give the lowest first"
        )
    return None if low is None and high is None else Within(name, low, high)


def _both(one: Within | None, other: Within | None) -> Within | None:
    """The window of the values that are in two windows of a property."""
    if one is None or other is None:
        return one or other
    lows = [w.low for w in (one, other) if w.low is not None]
    highs = [w.high for w in (one, other) if w.high is not None]
    return window_of(one.name, (max(lows, default=None), min(highs, default=None)))


@cache
def pattern(smarts: str) -> Mol:
    """The pattern of a valid SMARTS, read once per process."""
    return Chem.MolFromSmarts(smarts)


@cache
def _catalogue(name: str) -> FilterCatalog:
    names = FilterCatalogParams.FilterCatalogs.names
    return FilterCatalog(FilterCatalogParams(names[ALERTS[name]]))


def _several(given: str | Sequence[str]) -> Sequence[str]:
    return (given,) if isinstance(given, str) else given
