"""What a run is asked to do, checked before any work starts."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from wrlso.methods import Method
from wrlso.parallel import SeedMode


@dataclass(frozen=True)
class RunConfig:
    """A run, as recorded in ``config.json``: enough to start it again.

    Attributes:
      task: name of the task.
      task_options: arguments of the task's factory.
      method, weighting, hyper, retrain_every, epochs, beta: the method, spelled out.
      budget: charged queries a seed.
      seeds: number of seeds; they are ``first_seed, first_seed + 1, ...``.
      proposer: name of the proposer.
      batch: q, queries that proposer ``bo`` chooses together; one by one if None.
      climb: what the gradient proposers climb; a learned regressor if None.
      devices, seed_mode: how seeds are spread, see ``parallel.plan_seeds``.
      task_digest: of the base data and given parameters, so that a run is only
        resumed with the task that it began with.
    """

    task: str
    method: str
    weighting: str
    hyper: Mapping[str, float]
    retrain_every: int | None
    budget: int
    seeds: int
    proposer: str
    epochs: float | None = None
    beta: float | None = None
    batch: int | None = None
    climb: Literal["regressor", "objective"] | None = None
    first_seed: int = 0
    devices: int | None = None
    seed_mode: SeedMode = "auto"
    task_options: Mapping[str, Any] = field(default_factory=dict)
    task_digest: str = ""

    @property
    def seed_numbers(self) -> list[int]:
        """The seeds themselves."""
        return list(range(self.first_seed, self.first_seed + self.seeds))

    def check(self) -> None:
        """Refuse what cannot be run.

        Raises:
          ValueError: naming argument, value and remedy.
        """
        for name in ("budget", "seeds", "first_seed", "retrain_every", "batch", "devices"):
            value = getattr(self, name)
            if value is not None and (isinstance(value, bool) or not isinstance(value, int)):
                raise ValueError(f"{name} must be a whole number, got {value!r}")
        if self.budget < 1:
            raise ValueError(f"budget must be at least 1 query, got {self.budget}")
        if self.seeds < 1:
            raise ValueError(f"seeds must be at least 1, got {self.seeds}")
        if not 0 <= self.first_seed < 2**31 - self.seeds:
            raise ValueError(
                f"first_seed must not be negative and seeds must stay below 2^31, got "
                f"{self.first_seed}"
            )
        if self.retrain_every is not None and self.retrain_every < 1:
            raise ValueError(f"retrain_every must be at least 1 query, got {self.retrain_every}")
        if self.retrain_every is not None and self.retrain_every > self.budget:
            raise ValueError(
                f"retrain_every = {self.retrain_every} is above budget = {self.budget}, so the "
                "model would never be retrained on a query: lower it, raise the budget, or "
                "choose a method that never retrains (lso, weight_only)"
            )
        if self.epochs is not None and not 0 <= self.epochs < float("inf"):
            raise ValueError(f"epochs must be 0 or more passes over the data, got {self.epochs:g}")
        if self.beta is not None and not 0 <= self.beta < float("inf"):
            raise ValueError(f"beta must be 0 or more, and finite, got {self.beta:g}")
        if self.batch is not None and self.batch < 1:
            raise ValueError(f"batch must be at least 1 query, got {self.batch}")
        if self.climb not in (None, "regressor", "objective"):
            raise ValueError(f"climb must be 'regressor' or 'objective', got {self.climb!r}")
        for name, value in self.hyper.items():
            if not value > 0:
                raise ValueError(f"{name} must be positive, got {value:g}")
            if name == "quantile" and value > 1:
                raise ValueError(f"quantile must be in (0, 1], got {value:g}")

    def to_json(self) -> str:
        """As text; infinity becomes the string ``"inf"``, so that any JSON parser reads it."""
        content = asdict(self)
        content["hyper"] = {
            name: "inf" if value == float("inf") else value for name, value in self.hyper.items()
        }
        return json.dumps(content, indent=2) + "\n"

    def static(self) -> str:
        """What runs have in common that one compiled program can do side by side."""
        numbers = dict.fromkeys(sorted(self.hyper), 1.0)
        return replace(self, method="", hyper=numbers, beta=None).to_json()

    @staticmethod
    def from_json(text: str) -> "RunConfig":
        """The inverse of :meth:`to_json`."""
        content = json.loads(text)
        content["hyper"] = {name: float(value) for name, value in content["hyper"].items()}
        return RunConfig(**content)


def describe(method: Method) -> dict[str, Any]:
    """A method's part of a :class:`RunConfig`."""
    return {
        "method": method.name,
        "weighting": method.weighting,
        "hyper": {name: float(value) for name, value in method.hyper.items()},
        "retrain_every": method.retrain_every,
        "epochs": method.epochs,
        "beta": method.beta,
    }
