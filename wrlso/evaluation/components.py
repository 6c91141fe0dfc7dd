"""Scores that carry the values of their components. Workers import it, so it loads no JAX."""

from collections.abc import Iterable
from typing import Any, NamedTuple


class ComponentValue(NamedTuple):
    """The value of one component of an objective.

    Attributes:
      name: of the component, unique within the objective.
      value: as measured, such as a molecular weight.
      desirability: what the objective made of it, such as a number in [0, 1]; None if it used the
        value itself or did not use it.
    """

    name: str
    value: float
    desirability: float | None = None


class ComponentScore(float):
    """A score that carries its components through worker processes to the log of a run.

    It is a float: an objective of your own may return ``ComponentScore(score, components)`` in
    place of the score.

    Args:
      score: the score.
      components: the components, in the order in which tables show them.
    """

    components: tuple[ComponentValue, ...]

    def __new__(cls, score: float, components: Iterable[ComponentValue] = ()) -> "ComponentScore":
        made = super().__new__(cls, score)
        made.components = tuple(ComponentValue(*one) for one in components)
        return made

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (float(self), self.components)


def components_of(value: Any) -> tuple[ComponentValue, ...]:
    """The components that a score carries; none for other values."""
    return value.components if isinstance(value, ComponentScore) else ()
