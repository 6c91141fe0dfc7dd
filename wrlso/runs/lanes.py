"""The inputs of compiled functions: for each seed of one or several runs, and for all of them."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from wrlso.loop.candidates import BaseData
from wrlso.parallel import SeedPlan, replicate, spread
from wrlso.runs.config import RunConfig


class SeedInputs(NamedTuple):
    """The small inputs of each seed.

    Attributes:
      seed: its number.
      steps: training steps of its next retraining.
      limit: maximum number of charged queries that it may have at the end of the round.
      hyper: its traced numbers.
    """

    seed: Any
    steps: Any
    limit: Any
    hyper: Any


class SharedInputs(NamedTuple):
    """The inputs that all seeds read.

    Attributes:
      base: the base data.
      round: number of the round.
      ask: number of the ask or fit within the round.
    """

    base: BaseData
    round: Any
    ask: Any


class Lanes:
    """The seeds of one or several runs as lanes of one program.

    First come all seeds of the first run, then those of the second. Lanes beyond them are idle:
    they fill up the devices.
    """

    def __init__(self, configs: Sequence[RunConfig], plan: SeedPlan, base: BaseData) -> None:
        self.plan = plan
        self.seeds = [seed for config in configs for seed in config.seed_numbers]
        self.base = replicate(plan, base)
        numbers = {
            name: [
                float(config.algorithm["hyper"][name])
                for config in configs
                for _ in range(config.seeds)
            ]
            for name in configs[0].algorithm["hyper"]
        }
        padded = {name: self.padded(values, np.float32, 1) for name, values in numbers.items()}
        self._hyper = spread(plan, padded)

    def padded(self, values: Sequence[Any], dtype: Any, idle: Any) -> np.ndarray:
        """``[lanes]``: a value per seed, and ``idle`` for the idle lanes."""
        return np.array([*values, *[idle] * (self.plan.lanes - len(self.seeds))], dtype)

    def seed_inputs(self, limits: Sequence[int], steps: Sequence[int] | None = None) -> SeedInputs:
        """Inputs of all seeds, spread over the devices."""
        integers = (self.seeds, steps or [0] * len(self.seeds), limits)
        seed, steps_, limit = (self.padded(values, np.int32, 0) for values in integers)
        return spread(self.plan, SeedInputs(seed, steps_, limit, self._hyper))

    def shared_inputs(self, round: int, ask: int) -> SharedInputs:
        """Inputs that all seeds read, on every device."""
        return SharedInputs(self.base, *replicate(self.plan, (np.int32(round), np.int32(ask))))
