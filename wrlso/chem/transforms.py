"""Transforms of a property to a desirability, mostly in [0, 1].

Each is a frozen dataclass that is called with a number. :data:`TRANSFORMS` has their names in
scoring files.

Sources: Derringer and Suich, J. Quality Technology 12, 214 (1980), for desirabilities; Brown et
al., GuacaMol, J. Chem. Inf. Model. 59, 1096 (2019), for Gaussian flanks; Loeffler et al.,
REINVENT 4, J. Cheminformatics 16, 20 (2024), for the sigmoids and steps, whose parameters have the
same names and meanings here.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

Transform = Callable[[float], float]
"""A function from a property to its desirability."""


@dataclass(frozen=True)
class Plain:
    """The value itself."""

    def __call__(self, x: float) -> float:
        return x


@dataclass(frozen=True)
class Inverse:
    """1 minus the value."""

    def __call__(self, x: float) -> float:
        return 1.0 - x


@dataclass(frozen=True)
class Gaussian:
    """A bell with maximum 1 at the target ("GaussianModifier").

    Attributes:
      target: the place of the maximum.
      width: the standard deviation; positive.
    """

    target: float
    width: float

    def __post_init__(self) -> None:
        _check_positive(self, "width")

    def __call__(self, x: float) -> float:
        return _flank(x - self.target, self.width)


@dataclass(frozen=True)
class AtMost:
    """1 up to the limit; above it, the flank of a Gaussian ("MinGaussianModifier").

    Attributes:
      limit: the highest value of desirability 1.
      width: the standard deviation of the flank; positive.
    """

    limit: float
    width: float

    def __post_init__(self) -> None:
        _check_positive(self, "width")

    def __call__(self, x: float) -> float:
        return _flank(max(x, self.limit) - self.limit, self.width)


@dataclass(frozen=True)
class AtLeast:
    """1 from the limit on; below it, the flank of a Gaussian ("MaxGaussianModifier").

    Attributes:
      limit: the lowest value of desirability 1.
      width: the standard deviation of the flank; positive.
    """

    limit: float
    width: float

    def __post_init__(self) -> None:
        _check_positive(self, "width")

    def __call__(self, x: float) -> float:
        return _flank(min(x, self.limit) - self.limit, self.width)


@dataclass(frozen=True)
class Window:
    """1 within a window; outside, the flanks of a Gaussian.

    Attributes:
      low, high: the ends of the window, which are within.
      width: the standard deviation of the flanks; positive.
    """

    low: float
    high: float
    width: float

    def __post_init__(self) -> None:
        _check_order(self)
        _check_positive(self, "width")

    def __call__(self, x: float) -> float:
        inside = min(max(x, self.low), self.high)
        return _flank(x - inside, self.width)


@dataclass(frozen=True)
class Linear:
    """A straight line between two points, constant outside ("ClippedScoreModifier").

    Attributes:
      at_0: the value of desirability 0.
      at_1: the value of desirability 1; it may be the lower one.
    """

    at_0: float
    at_1: float

    def __post_init__(self) -> None:
        if self.at_0 == self.at_1:
            raise ValueError(f"at_0 and at_1 are both {self.at_0:g}: give different values")

    def __call__(self, x: float) -> float:
        return min(max((x - self.at_0) / (self.at_1 - self.at_0), 0.0), 1.0)


@dataclass(frozen=True)
class Sigmoid:
    """A logistic rise from 0 to 1: one half in the middle between low and high.

    Attributes:
      low, high: they scale the steepness; if they are equal, the rise is a step.
      k: the steepness; at 0.5, low has desirability 0.003 and high 0.997.
    """

    low: float
    high: float
    k: float

    def __post_init__(self) -> None:
        _check_order(self)
        _check_positive(self, "k")

    def __call__(self, x: float) -> float:
        x -= (self.high + self.low) / 2
        if self.high == self.low:
            return float(x > 0)
        return _logistic(10 * self.k * x / (self.high - self.low))


@dataclass(frozen=True)
class ReverseSigmoid:
    """A logistic fall from 1 to 0, 1 minus :class:`Sigmoid`.

    Attributes:
      low, high, k: as those of :class:`Sigmoid`.
    """

    low: float
    high: float
    k: float

    def __post_init__(self) -> None:
        Sigmoid(self.low, self.high, self.k)

    def __call__(self, x: float) -> float:
        return 1.0 - Sigmoid(self.low, self.high, self.k)(x)


@dataclass(frozen=True)
class DoubleSigmoid:
    """A logistic rise at low and a logistic fall at high, each one half there.

    Attributes:
      low, high: the places of the rise and the fall.
      coef_div: common divisor of the steepnesses; 0: steps.
      coef_si, coef_se: steepness of the rise and of the fall.
    """

    low: float
    high: float
    coef_div: float = 100.0
    coef_si: float = 150.0
    coef_se: float = 150.0

    def __post_init__(self) -> None:
        _check_order(self)

    def __call__(self, x: float) -> float:
        rising = x < (self.high - self.low) / 2 + self.low
        distance = x - (self.low if rising else self.high)
        steepness = self.coef_si if rising else self.coef_se
        if self.coef_div == 0:
            value = float(steepness * distance > 0)
        else:
            value = _logistic(steepness / self.coef_div * distance)
        return value if rising else 1.0 - value


@dataclass(frozen=True)
class Step:
    """1 within a window, ends included, else 0.

    Attributes:
      low, high: the ends.
    """

    low: float
    high: float

    def __post_init__(self) -> None:
        _check_order(self)

    def __call__(self, x: float) -> float:
        return float(self.low <= x <= self.high)


@dataclass(frozen=True)
class LeftStep:
    """1 up to a value, which is included, else 0.

    Attributes:
      low: the value.
    """

    low: float

    def __call__(self, x: float) -> float:
        return float(x <= self.low)


@dataclass(frozen=True)
class RightStep:
    """1 from a value on, which is included, else 0.

    Attributes:
      high: the value.
    """

    high: float

    def __call__(self, x: float) -> float:
        return float(x >= self.high)


@dataclass(frozen=True)
class ExponentialDecay:
    """1 up to 0, then exp(-k x).

    Attributes:
      k: the rate; positive.
    """

    k: float

    def __post_init__(self) -> None:
        _check_positive(self, "k")

    def __call__(self, x: float) -> float:
        return 1.0 if x < 0 else math.exp(-self.k * x)


@dataclass(frozen=True)
class ValueMapping:
    """A value for each of some values.

    Attributes:
      mapping: pairs of a value and its desirability, or a mapping.

    Raises:
      ValueError: on a call with a value that is not among them.
    """

    mapping: tuple[tuple[float, float], ...]

    def __post_init__(self) -> None:
        given = self.mapping
        pairs = given.items() if isinstance(given, Mapping) else given
        object.__setattr__(self, "mapping", tuple((float(a), float(b)) for a, b in pairs))

    def __call__(self, x: float) -> float:
        for value, desirability in self.mapping:
            if value == x:
                return desirability
        known = ", ".join(f"{value:g}" for value, _ in self.mapping)
        raise ValueError(f"the mapping has no desirability of {x:g}, but of: {known}")


TRANSFORMS: dict[str, type] = {
    "plain": Plain,
    "inverse": Inverse,
    "gaussian": Gaussian,
    "at_most": AtMost,
    "at_least": AtLeast,
    "window": Window,
    "linear": Linear,
    "sigmoid": Sigmoid,
    "reverse_sigmoid": ReverseSigmoid,
    "double_sigmoid": DoubleSigmoid,
    "step": Step,
    "left_step": LeftStep,
    "right_step": RightStep,
    "exponential_decay": ExponentialDecay,
    "value_mapping": ValueMapping,
}
"""Transforms by name."""


def _logistic(decades: float) -> float:
    """1 / (1 + 10^-decades), without overflow."""
    x = decades * math.log(10)
    if x >= 0:
        return 1.0 / (1.0 + math.exp(-x))
    e = math.exp(x)
    return e / (1.0 + e)


def _flank(distance: float, width: float) -> float:
    """The desirability at a distance from the best values: a Gaussian, 1 at distance 0."""
    return math.exp(-0.5 * (distance / width) ** 2)


def _check_positive(transform: object, name: str) -> None:
    value = getattr(transform, name)
    if not value > 0:
        raise ValueError(f"{name} = {value:g}: give a positive number")


def _check_order(transform: object) -> None:
    low, high = transform.low, transform.high  # type: ignore[attr-defined]
    if not low <= high:
        raise ValueError(f"low = {low:g} and high = {high:g}: low must not be above high")
