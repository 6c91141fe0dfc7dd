"""Objectives that are put together from several measures of a molecule.

Each component is a measure, such as a property or the similarity to a lead, and a transform of it
to a desirability. The score is a mean, a product or a sum of the desirabilities. It carries the
value of each component, which a run stores beside it.

Example:
  >>> from wrlso.chem.composite import Component, combine
  >>> from wrlso.chem.measures import Property, Similarity
  >>> from wrlso.chem.transforms import Linear, Window
  >>> objective = combine(
  ...     Component(Similarity("CC(=O)Nc1ccc(O)cc1"), Linear(0, 0.7), weight=2),
  ...     Component(Property("logp"), Window(1, 3, 0.5)),
  ... )
  >>> round(objective("CC(=O)Nc1ccc(OC)cc1"), 3)
  0.918
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

from rdkit.Chem import Mol

from wrlso.chem.command import Command
from wrlso.chem.descriptors import GROWING
from wrlso.chem.filters import MoleculeFilter
from wrlso.chem.guacamol import guacamol
from wrlso.chem.measures import AlertCount, Formula, Property, Similarity, Substructure
from wrlso.chem.molecule import canonical, scorable
from wrlso.chem.transforms import Inverse, LeftStep, Plain, Transform
from wrlso.evaluation.components import ComponentScore, ComponentValue

Aggregate = Literal["geometric_mean", "arithmetic_mean", "product", "sum"]

_FRACTIONS = ("qed", "fraction_sp3")
"""Properties in [0, 1]."""


@dataclass(frozen=True)
class Goal:
    """One of GuacaMol's and PMO's objectives as a measure.

    Attributes:
      name: one of :data:`wrlso.chem.guacamol.GOALS`, or another name of one.

    Raises:
      ValueError: if there is no such objective.
    """

    name: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", guacamol(self.name).args[0])  # type: ignore[attr-defined]

    def __call__(self, mol: Mol) -> float:
        return guacamol(self.name)(mol)


@dataclass(frozen=True)
class OfSmiles:
    """A function of a canonical SMILES as a measure: a user's own, or a program.

    Attributes:
      function: from a SMILES to a number; it may raise.
    """

    function: Callable[[str], float]

    def __call__(self, molecule: str | Mol) -> float:
        return self.function(molecule if isinstance(molecule, str) else canonical(molecule))


@dataclass(frozen=True)
class Component:
    """One part of an objective.

    Attributes:
      measure: function from an RDKit molecule to a number, such as
        :class:`wrlso.chem.measures.Property`; or :class:`OfSmiles`.
      transform: function from that number to a desirability; None: 1 without an alert and 0 with
        one for :class:`wrlso.chem.measures.AlertCount`, else the number itself.
      weight: weight in the mean, product or sum; 0: the value is recorded, and has no influence.
      factor: multiply the result of all others by this desirability, such as one that is 0 where a
        scaffold is missing. The weight then is an exponent.
      name: name in records and tables; empty: that of the measure.
    """

    measure: Callable[[Mol], float]
    transform: Transform | None = None
    weight: float = 1.0
    factor: bool = False
    name: str = ""

    def __post_init__(self) -> None:
        if not 0 <= self.weight < math.inf:
            raise ValueError(f"weight = {self.weight:g}: give a number of at least 0")
        if self.transform is None:
            alerts = isinstance(self.measure, AlertCount)
            object.__setattr__(self, "transform", LeftStep(0) if alerts else Plain())
        if not self.name:
            object.__setattr__(self, "name", _name_of(self.measure))

    def value(self, smiles: str, mol: Mol) -> ComponentValue:
        """The measured value, and its desirability.

        Raises:
          ValueError: if either is not a finite number.
        """
        assert self.transform is not None
        of_smiles = isinstance(self.measure, OfSmiles)
        measured = float(self.measure(smiles) if of_smiles else self.measure(mol))  # type: ignore[arg-type]
        if not math.isfinite(measured):
            raise ValueError(f"component {self.name!r} is {measured}")
        desirability = float(self.transform(measured))
        if not math.isfinite(desirability):
            raise ValueError(f"component {self.name!r}: {measured:g} is mapped to {desirability}")
        return ComponentValue(self.name, measured, desirability)


@dataclass(frozen=True)
class Composite:
    """An objective of several components, as :func:`combine` makes it.

    It is a function from a SMILES or an RDKit molecule to a
    :class:`wrlso.evaluation.components.ComponentScore`, which is a float; higher is better. It
    raises ValueError for a molecule that the filter does not pass, that has unpaired electrons or
    wildcard atoms. Explicit hydrogens, atom maps and isotopes do not count.

    Attributes:
      components: the components.
      aggregate: how their desirabilities make a score.
      filter: the condition that a molecule must meet to be scored; None: there is none.
      name: name in records and tables.
    """

    components: tuple[Component, ...]
    aggregate: Aggregate
    filter: MoleculeFilter | None
    name: str

    def __call__(self, molecule: str | Mol) -> ComponentScore:
        mol = scorable(molecule)
        reason = None if self.filter is None else self.filter(mol)
        if reason is not None:
            raise ValueError(reason)
        smiles = molecule if isinstance(molecule, str) else canonical(mol)
        values = [one.value(smiles, mol) for one in self.components]
        return ComponentScore(self._aggregated(values), values)

    @property
    def grows(self) -> str:
        """The property that lets the score grow with a molecule's size without bound, or ''."""
        for one in self.components:
            bounded = self.aggregate != "sum" or one.factor or one.transform != Plain()
            if one.weight and not bounded:
                match one.measure:
                    case Property(name=name) if name in GROWING:
                        return name
                    case Substructure(count=True, smarts=smarts):
                        return f"the number of {smarts}"
        return ""

    def _aggregated(self, values: list[ComponentValue]) -> float:
        factor, weighted = 1.0, []
        for component, value in zip(self.components, values, strict=True):
            assert value.desirability is not None
            powers = component.factor or self.aggregate in ("geometric_mean", "product")
            if powers and component.weight and value.desirability < 0:
                kind = "factor" if component.factor else self.aggregate.replace("_", " ")
                raise ValueError(
                    f"component {component.name!r} is {value.desirability:g}: a {kind} needs "
                    "values of at least 0: give it a transform"
                )
            if component.factor:
                factor *= value.desirability**component.weight
            elif component.weight:
                weighted.append((value.desirability, component.weight))
        return factor * (_AGGREGATES[self.aggregate](weighted) if weighted else 1.0)


def combine(
    *components: Component,
    aggregate: Aggregate = "geometric_mean",
    filter: MoleculeFilter | None = None,
    name: str = "composite",
) -> Composite:
    """Put an objective together; higher is better.

    With desirabilities d and weights w of sum W, the score is

    - ``geometric_mean``: the product of ``d^(w / W)``,
    - ``arithmetic_mean``: the sum of ``w d / W``,
    - ``product``: the product of ``d^w``,
    - ``sum``: the sum of ``w d``, which need not be in [0, 1],

    times the factors.

    Args:
      *components: the components, of different names.
      aggregate: the kind of mean, product or sum.
      filter: of :func:`wrlso.chem.filters.molecule_filter`; a molecule that does not pass is not
        scored. None: all pass.
      name: name in records and tables.

    Raises:
      ValueError: if there is no component of a positive weight, a name occurs twice, or a property
        that is not in [0, 1] has no transform.
    """
    if aggregate not in get_args(Aggregate):
        raise ValueError(f"aggregate = {aggregate!r}: give one of {', '.join(get_args(Aggregate))}")
    if not any(one.weight > 0 for one in components):
        raise ValueError("components: give at least one component of a weight above 0")
    if filter is not None and not isinstance(filter, MoleculeFilter):
        raise ValueError(f"filter = {filter!r} is no filter: make one with molecule_filter")
    names = [one.name for one in components]
    if twice := [one for one in names if names.count(one) > 1]:
        raise ValueError(f"components: two have the name {twice[0]!r}: give each a name of its own")
    for one in components:
        if one.weight and (aggregate != "sum" or one.factor):
            _check_fraction(one, "factor" if one.factor else aggregate)
    return Composite(components, aggregate, filter, name)


def renamed(composite: Composite, name: str) -> Composite:
    """The same objective under another name."""
    return replace(composite, name=name)


def _check_fraction(component: Component, use: str) -> None:
    measure = component.measure
    counts = isinstance(measure, (Substructure, AlertCount)) and getattr(measure, "count", True)
    fraction = isinstance(measure, Property) and measure.name in _FRACTIONS and not measure.minus
    unbounded = counts or (isinstance(measure, Property) and not fraction)
    if unbounded and isinstance(component.transform, (Plain, Inverse)):
        has = "no transform" if component.transform == Plain() else "no transform but 'inverse'"
        raise ValueError(
            f"component {component.name!r} has {has}: a {use.replace('_', ' ')} needs "
            "values in [0, 1]: give it one, such as a window or a sigmoid (or take the sum)"
        )


def _name_of(measure: Any) -> str:
    match measure:
        case Property(name=name) | Goal(name=name):
            return name
        case Similarity():
            return "similarity"
        case Substructure(smarts=smarts):
            return smarts
        case AlertCount(names=names):
            return " ".join(names) + " alerts"
        case Formula(formula=formula):
            return formula
        case OfSmiles(function=Command(argv=argv)):
            return argv[-1].rpartition("/")[2]
        case OfSmiles(function=function):
            return getattr(function, "__name__", type(function).__name__)
    return getattr(measure, "__name__", type(measure).__name__)


def _geometric(weighted: list[tuple[float, float]]) -> float:
    values, weights = zip(*weighted, strict=True)
    if len(set(weights)) == 1:
        return math.prod(values) ** (1 / len(values))
    if min(values) == 0:
        return 0.0
    exponents = [weight * math.log(value) for value, weight in weighted]
    return math.exp(math.fsum(exponents) / math.fsum(weights))


def _arithmetic(weighted: list[tuple[float, float]]) -> float:
    return _sum(weighted) / math.fsum(weight for _, weight in weighted)


def _product(weighted: list[tuple[float, float]]) -> float:
    return math.prod(value**weight for value, weight in weighted)


def _sum(weighted: list[tuple[float, float]]) -> float:
    return math.fsum(weight * value for value, weight in weighted)


_AGGREGATES: dict[str, Callable[[list[tuple[float, float]]], float]] = {
    "geometric_mean": _geometric,
    "arithmetic_mean": _arithmetic,
    "product": _product,
    "sum": _sum,
}
