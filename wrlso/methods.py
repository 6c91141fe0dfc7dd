"""The paper's methods by name: a weighting, its numbers, and when to retrain."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace


@dataclass(frozen=True)
class Method:
    """A point in the paper's space of methods.

    Attributes:
      name: as in ``--method``.
      summary: one line for ``wrlso methods``.
      weighting: a name in ``weighting.WEIGHTINGS``.
      hyper: the weighting's numbers, such as ``{"k": 1e-3}``.
      retrain_every: r, queries between retrainings; None to retrain only once,
        before the first query.
    """

    name: str
    summary: str
    weighting: str
    hyper: Mapping[str, float] = field(default_factory=dict)
    retrain_every: int | None = 50

    def with_options(self, k: float | None = None, retrain_every: int | None = None) -> "Method":
        """This method with another k or r.

        Raises:
          ValueError: if the method fixes what is to be changed.
        """
        method = self
        if k is not None:
            if "k" not in self.hyper or math.isinf(self.hyper["k"]):
                raise ValueError(
                    f"method {self.name!r} fixes k = inf (uniform weights), got k = {k:g}; "
                    "leave k out, or choose weighted_retraining or weight_only"
                )
            method = replace(method, hyper={**self.hyper, "k": k})
        if retrain_every is not None:
            if self.retrain_every is None:
                raise ValueError(
                    f"method {self.name!r} never retrains after its first query, got "
                    f"retrain_every = {retrain_every}; leave it out, or choose "
                    "weighted_retraining or retrain_only"
                )
            method = replace(method, retrain_every=retrain_every)
        return method


def lso() -> Method:
    """Latent space optimisation: uniform weights, never retrain."""
    return METHODS["lso"]


def weight_only(k: float = 1e-3) -> Method:
    """Rank weights, but only before the first query."""
    return METHODS["weight_only"].with_options(k=k)


def retrain_only(retrain_every: int = 50) -> Method:
    """Uniform weights, retraining every r queries."""
    return METHODS["retrain_only"].with_options(retrain_every=retrain_every)


def weighted_retraining(k: float = 1e-3, retrain_every: int = 50) -> Method:
    """The paper's method: rank weights, retraining every r queries."""
    return METHODS["weighted_retraining"].with_options(k=k, retrain_every=retrain_every)


def get_method(name: str) -> Method:
    """A method by name.

    Raises:
      ValueError: if there is none, listing those there are.
    """
    if name not in METHODS:
        raise ValueError(f"unknown method {name!r}; there are: {', '.join(METHODS)}")
    return METHODS[name]


METHODS: dict[str, Method] = {
    method.name: method
    for method in (
        Method("lso", "uniform weights, never retrain (k = inf)", "rank", {"k": math.inf}, None),
        Method("weight_only", "rank weights, never retrain", "rank", {"k": 1e-3}, None),
        Method("retrain_only", "uniform weights, retrain every r", "rank", {"k": math.inf}),
        Method("weighted_retraining", "rank weights, retrain every r", "rank", {"k": 1e-3}),
    )
}
"""All methods by name. The first four are the corners of the paper's ablation."""
