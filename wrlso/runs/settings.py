"""The settings that ``run``, ``sweep`` and the command line share, each explained once."""

from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal, TypedDict

from wrlso.evaluation.executors import SupportsSubmit
from wrlso.parallel import SeedMode
from wrlso.proposers.base import Proposer
from wrlso.resolve import check_proposer
from wrlso.scores.checks import as_whole

SEEDS = 5
"""Number of seeds of an objective in JAX."""


class SettingsArguments(TypedDict, total=False):
    """The keyword arguments of ``run`` and ``sweep``, for editors; see :class:`RunSettings`."""

    budget: int
    seeds: int | None
    first_seed: int
    proposer: str | Proposer | None
    batch: int | None
    gradient_of: Literal["regressor", "objective"] | None
    start_from: str | Path | None
    devices: int | None
    seed_mode: SeedMode
    progress: bool
    executor: str | SupportsSubmit | None
    rescore: bool


@dataclass(frozen=True)
class RunSettings:
    """Settings of a run besides its task and method.

    Attributes:
      budget: maximum number of objective evaluations that are charged to each seed, at least 1.
      seeds: number of independent runs, side by side, at least 1. Default: 5; for an objective in
        Python, a program or people it is 1, as each seed costs the budget.
      first_seed: the seeds are first_seed, first_seed + 1, ..., from 0 to 2^31.
      proposer: how latent points are chosen: 'bo' (Bayesian optimisation; reads nothing but charged
        scores), 'grid' (the paper's for shapes; reads the objective 2500 times per round without
        charging it), 'prior' (samples), or one that follows gradients: 'latent_ascent',
        'data_ascent', 'generator'. Default: the method's own, else the task's.
      batch: q, the number of queries that proposer 'bo' chooses together, by fantasies; it divides
        r. Default: 1.
      gradient_of: what the gradient proposers follow: a regressor learned from charged scores
        (default), or the objective itself, whose evaluations then count as uncharged.
      start_from: folder of another run of the task, whose scored queries join the starting data.
      devices: number of devices to spread seeds over, at least 1. On a CPU these are virtual.
        Default: all, but no more than seeds.
      seed_mode: seeds within a device run one after the other ('map') or batched ('vmap'). 'auto'
        is 'map' on a CPU and 'vmap' on an accelerator.
      progress: show progress bars.
      executor: the place where a Python objective or a program is evaluated: the address of a
        scheduler, such as dask://127.0.0.1:8786 (needs the extra 'dask'). In Python it may also be
        any ``concurrent.futures.Executor``. Default: worker processes of this machine.
      rescore: score the starting data anew, also molecules whose scores were kept or stand in a
        file: all of them, outside the budget.

    Raises:
      TypeError, ValueError: naming the setting, its value and the remedy.
    """

    budget: int = 500
    seeds: int | None = None
    first_seed: int = 0
    proposer: str | Proposer | None = None
    batch: int | None = None
    gradient_of: Literal["regressor", "objective"] | None = None
    start_from: str | Path | None = None
    devices: int | None = None
    seed_mode: SeedMode = "auto"
    progress: bool = True
    executor: str | SupportsSubmit | None = None
    rescore: bool = False

    def __post_init__(self) -> None:
        for name in ("budget", "seeds", "first_seed", "batch", "devices"):
            value = getattr(self, name)
            if value is not None or name in ("budget", "first_seed"):
                object.__setattr__(self, name, as_whole(name, value))
        check_proposer(self.proposer)
        if self.seeds is not None and self.seeds < 1:
            raise ValueError(f"seeds must be at least 1, got {self.seeds}")
        if not 0 <= self.first_seed < 2**31 - (self.seeds or SEEDS):
            raise ValueError(
                f"first_seed must not be negative and seeds must stay below 2^31, got "
                f"{self.first_seed}"
            )

    @classmethod
    def of(cls, arguments: SettingsArguments) -> "RunSettings":
        """Settings from keyword arguments.

        Raises:
          TypeError: if there is no such setting, listing the names.
          TypeError, ValueError: if a setting is invalid.
        """
        names = [field.name for field in fields(cls)]
        unknown = [name for name in arguments if name not in names]
        if unknown:
            raise TypeError(f"there is no setting {unknown[0]!r}; there are: {', '.join(names)}")
        return cls(**arguments)

    def for_task(self, task: Any) -> "RunSettings":
        """These settings with the number of seeds that suits a task."""
        in_jax = getattr(task, "objective", None) is not None
        return self if self.seeds is not None else replace(self, seeds=SEEDS if in_jax else 1)

    def for_study(self, task: Any) -> "RunSettings":
        """These settings for a study: one seed on one device.

        Raises:
          ValueError: if there are several seeds, or a setting evaluates what people measure.
        """
        if self.seeds not in (None, 1):
            raise ValueError(f"seeds must be 1 in a study, got {self.seeds}: open one per seed")
        for name, given in (("executor", self.executor), ("rescore", self.rescore or None)):
            if given is not None and getattr(task, "measured", False):
                raise ValueError(
                    f"{name} = {given!r} evaluates objectives, and people measure the objects of "
                    f"task {task.name!r}: leave it out"
                )
        return replace(self, seeds=1, devices=1)

    @property
    def seed_count(self) -> int:
        """Number of seeds."""
        return self.seeds or SEEDS

    def chosen(self) -> dict[str, Any]:
        """The settings that ``wrlso.algorithm`` takes."""
        names = ("budget", "proposer", "batch", "gradient_of")
        return {name: getattr(self, name) for name in names}


def optional_whole(name: str, value: Any) -> int | None:
    """A whole number as Python's, or None.

    Raises:
      ValueError: for anything else.
    """
    return None if value is None else as_whole(name, value)
