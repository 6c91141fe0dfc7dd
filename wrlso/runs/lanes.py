"""The inputs of compiled functions: for each seed of one or several runs, and for all of them."""

from collections.abc import Callable, Sequence
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
        self._kept: dict[str, tuple[bytes, Any]] = {}

    def padded(self, values: Sequence[Any], dtype: Any, idle: Any) -> np.ndarray:
        """``[lanes]``: a value per seed, and ``idle`` for the idle lanes."""
        return np.array([*values, *[idle] * (self.plan.lanes - len(self.seeds))], dtype)

    def seed_inputs(self, limits: Sequence[int], steps: Sequence[int] | None = None) -> SeedInputs:
        """Inputs of all seeds, spread over the devices."""
        integers = {"seed": self.seeds, "steps": steps or [0] * len(self.seeds), "limit": limits}
        placed = {
            name: self._placed(name, self.padded(values, np.int32, 0), spread)
            for name, values in integers.items()
        }
        return SeedInputs(**placed, hyper=self._hyper)

    def shared_inputs(self, round: int, ask: int) -> SharedInputs:
        """Inputs that all seeds read, on every device."""
        numbers = {"round": np.int32(round), "ask": np.int32(ask)}
        placed = {name: self._placed(name, one, replicate) for name, one in numbers.items()}
        return SharedInputs(self.base, **placed)

    def _placed(self, name: str, value: Any, place: Callable[[SeedPlan, Any], Any]) -> Any:
        """The value on the devices. The last one is kept, as most calls repeat it, and a transfer
        takes as long as a small program."""
        content = value.tobytes()
        if self._kept.get(name, (None, None))[0] != content:
            self._kept[name] = (content, place(self.plan, value))
        return self._kept[name][1]
