"""A run as recorded in ``config.json``: enough to start it again, and to notice any change."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from wrlso.loop.algorithm import Algorithm
from wrlso.methods import Method
from wrlso.parallel import SeedMode
from wrlso.resolve import record, weighting_name
from wrlso.runs.settings import RunSettings
from wrlso.tasks.base import Task
from wrlso.weighting.registry import WEIGHTINGS

FORMAT = 3
"""Version of a run folder's files. Format 1 was that of versions before the renaming."""


@dataclass(frozen=True)
class RunConfig:
    """A run, as recorded in ``config.json``.

    Attributes:
      task: name of the task.
      task_options: arguments of the task's factory.
      method, weighting, hyper, retrain_every, epochs, beta: the method, spelled out. The weighting
        is a name, or for one of your own its name and the digest of its code.
      budget, seeds, first_seed, batch, gradient_of, devices, seed_mode: as in
        :class:`wrlso.runs.settings.RunSettings`.
      proposer: name of the proposer.
      algorithm: every resolved setting, from ``wrlso.resolve.record``.
      task_record: digests of the objective, model, base data and parameters, from
        ``wrlso.resolve.task_record``.
      format: version of the run folder's files.
    """

    task: str
    method: str
    weighting: str
    hyper: Mapping[str, float]
    retrain_every: int | None
    epochs: float | None
    beta: float | None
    budget: int
    seeds: int
    first_seed: int
    proposer: str
    batch: int | None
    gradient_of: str | None
    devices: int | None
    seed_mode: SeedMode
    task_options: Mapping[str, Any] = field(default_factory=dict)
    algorithm: Mapping[str, Any] = field(default_factory=dict)
    task_record: Mapping[str, Any] = field(default_factory=dict)
    format: int = FORMAT

    @property
    def seed_numbers(self) -> list[int]:
        """The seeds themselves."""
        return list(range(self.first_seed, self.first_seed + self.seeds))

    def to_json(self) -> str:
        """As text; infinity becomes the string ``"inf"``, so that any JSON parser reads it."""
        content = asdict(self)
        content["hyper"] = {
            name: "inf" if value == float("inf") else value for name, value in self.hyper.items()
        }
        return json.dumps(content, indent=2) + "\n"

    @staticmethod
    def from_json(text: str) -> "RunConfig":
        """The inverse of :meth:`to_json`.

        Raises:
          ValueError: if the text is of another format.
        """
        content = json.loads(text)
        found = content.get("format", 1) if isinstance(content, dict) else None
        if found != FORMAT:
            raise ValueError(
                f"it is of format {found}, and this version of wrlso reads format {FORMAT}: read "
                "it with the version that wrote it, or run it again"
            )
        content["hyper"] = {name: float(value) for name, value in content["hyper"].items()}
        return RunConfig(**{f.name: content[f.name] for f in fields(RunConfig)})

    def own_method(self) -> Method | None:
        """The recorded method; None if its weighting is a function that no record holds."""
        if self.weighting not in WEIGHTINGS:
            return None
        return Method(
            self.method,
            weighting=self.weighting,
            hyper=self.hyper,
            retrain_every=self.retrain_every,
            epochs=self.epochs,
            beta=self.beta,
        )


def make_config(
    task: Task, method: Method, settings: RunSettings, algorithm: Algorithm
) -> RunConfig:
    """The record of a run, but for the task's own record, which needs the base data."""
    return RunConfig(
        task=task.name,
        task_options=dict(task.options),
        method=method.name,
        weighting=weighting_name(algorithm.weighting),  # a task may bound its effective rows
        hyper=algorithm.hyper,
        retrain_every=method.retrain_every,
        epochs=method.epochs,
        beta=method.beta,
        budget=settings.budget,
        seeds=settings.seeds,
        first_seed=settings.first_seed,
        proposer=algorithm.proposer.name,
        batch=settings.batch,
        gradient_of=settings.gradient_of,
        devices=settings.devices,
        seed_mode=settings.seed_mode,
        algorithm=record(algorithm),
    )


def static_part(config: RunConfig) -> str:
    """The part of a configuration that runs in one compiled program have in common: all but the
    traced numbers and the names."""
    algorithm = {**config.algorithm, "hyper": sorted(config.algorithm["hyper"])}
    own = {"hyper": sorted(config.hyper), "method": "", "beta": None, "algorithm": algorithm}
    return json.dumps({**asdict(config), **own})


def differences(stored: Any, given: Any, name: str = "") -> Iterator[str]:
    """The differences between two records, as ``name: stored -> given``.

    A name that only the given record has is new in this version, and no difference.
    """
    if isinstance(stored, Mapping) and isinstance(given, Mapping):
        for key in stored:
            yield from differences(stored[key], given.get(key), f"{name}.{key}" if name else key)
    elif json.dumps(stored) != json.dumps(given):
        yield f"{name}: {stored} -> {given}"
