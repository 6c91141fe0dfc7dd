"""A run as recorded in ``config.json``: enough to start it again, and to notice any change."""

import json
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, asdict, dataclass, field, fields
from typing import Any

from wrlso.loop.algorithm import Algorithm
from wrlso.methods import Method
from wrlso.parallel import SeedMode, plan_seeds
from wrlso.resolve import algorithm, check_arguments, record, weighting_name
from wrlso.runs.schema import check_record
from wrlso.runs.settings import RunSettings
from wrlso.storage.sealed import DIGEST, check_seal, parse_json, sealed_json
from wrlso.tasks.base import Task
from wrlso.weighting.registry import WEIGHTINGS

FORMAT = 4
"""Version of a run folder's files. Format 1 was that of versions before the renaming; format 3 had
no digests, and is read without."""

_READABLE = (3, FORMAT)


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
      minimize: true if lower scores are better.
      starting: the number of starting objects, their best score, its object, the number of them
        that were evaluated at the cost of the budget, and the offset of the scores, if any.
      stated: facts that every table shows, from the task.
      provenance: versions of the packages, platform, date and command with which the run began.
      task_record: digests of the objective, model, base data and parameters, from
        ``wrlso.resolve.task_record``.
      run: an id that all files of the run have; empty in format 3.
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
    minimize: bool = False
    starting: Mapping[str, Any] = field(default_factory=dict)
    stated: Mapping[str, Any] = field(default_factory=dict)
    provenance: Mapping[str, Any] = field(default_factory=dict)
    run: str = ""
    format: int = FORMAT

    @property
    def sealed(self) -> bool:
        """Whether the run's files have digests."""
        return self.format >= FORMAT

    @property
    def seed_numbers(self) -> list[int]:
        """The seeds themselves."""
        return list(range(self.first_seed, self.first_seed + self.seeds))

    @property
    def sign(self) -> float:
        """1, or -1 if lower scores are better."""
        return -1.0 if self.minimize else 1.0

    @property
    def offset(self) -> float:
        """The number that compiled programs subtract from scores times ``sign``; see
        :mod:`wrlso.scores`."""
        return float(self.starting.get("offset", 0.0))

    @property
    def queries(self) -> int:
        """Maximum number of queries per seed: the budget, less that of the starting data."""
        return self.budget - int(self.starting.get("initial", 0))

    def to_json(self) -> str:
        """As text; infinity becomes the string ``"inf"``, so that any JSON parser reads it."""
        content = asdict(self)
        if not self.sealed:
            del content["run"]
        content["hyper"] = {
            name: "inf" if value == float("inf") else value for name, value in self.hyper.items()
        }
        return sealed_json(content) if self.sealed else json.dumps(content, indent=2) + "\n"

    @staticmethod
    def from_json(text: str) -> "RunConfig":
        """The inverse of :meth:`to_json`.

        Raises:
          ValueError: if the text is of another format, is no record of a run, or was changed.
        """
        content = parse_json(text)
        found = content.get("format", 1)
        if found not in _READABLE or isinstance(found, bool):
            raise ValueError(
                f"it is of format {found}, and this version of wrlso reads format {FORMAT}: read "
                "it with the version that wrote it, or run it again"
            )
        if found == FORMAT:
            check_record(content, (*_NAMES, DIGEST), (*_NAMES, DIGEST))
            content = check_seal(content)
        else:
            check_record(content, _OLD_NAMES, _OLD_NEEDED)
        content["hyper"] = {name: float(value) for name, value in content["hyper"].items()}
        return RunConfig(**content)

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


_NAMES = tuple(f.name for f in fields(RunConfig))
_OLD_NAMES = tuple(name for name in _NAMES if name != "run")
_OLD_NEEDED = tuple(
    f.name for f in fields(RunConfig) if f.default is MISSING and f.default_factory is MISSING
)


def make_config(
    task: Task, method: Method, settings: RunSettings, resolved: Algorithm
) -> RunConfig:
    """The record of a run, but for the task's own record, which needs the base data."""
    return RunConfig(
        task=task.name,
        task_options=dict(task.options),
        method=method.name,
        weighting=weighting_name(resolved.weighting),  # a task may bound its effective rows
        hyper=resolved.hyper,
        retrain_every=method.retrain_every,
        epochs=method.epochs,
        beta=method.beta,
        budget=settings.budget,
        seeds=settings.seed_count,
        first_seed=settings.first_seed,
        proposer=resolved.proposer.name,
        batch=settings.batch,
        gradient_of=settings.gradient_of,
        devices=settings.devices,
        seed_mode=settings.seed_mode,
        algorithm=record(resolved),
        minimize=task.minimize,
        stated=dict(task.stated),
        run=secrets.token_hex(16),
    )


def plan_run(
    task: Task, method: Method, settings: RunSettings, initial: int = 0
) -> tuple[Algorithm, RunConfig]:
    """The algorithm and its record, after checking that it can be run.

    The starting data took ``initial`` evaluations of the budget.
    """
    check_arguments(task, method, settings.proposer)
    if settings.executor is not None and task.objective is not None:
        raise ValueError(
            f"executor = {settings.executor!r} evaluates objectives in Python, and that of task "
            f"{task.name!r} is in JAX: leave it out, or set devices"
        )
    chosen = settings.chosen()
    resolved = algorithm(task, method, **{**chosen, "budget": settings.budget - initial})
    plan_seeds(settings.seed_count, settings.devices, settings.seed_mode, local=True)
    return resolved, make_config(task, method, settings, resolved)


def refuse_measured(task: Task) -> None:
    """Refuse to run a task whose objects people measure.

    Raises:
      ValueError: with the remedy.
    """
    if isinstance(task, Task) and task.measured:  # plan_run names another type
        raise ValueError(
            f"people measure the objects of task {task.name!r}, so no run can score them: begin "
            "with wrlso.open or 'wrlso open', then ask and tell; or give the task an objective"
        )


def static_part(config: RunConfig) -> str:
    """The part of a configuration that runs in one compiled program have in common: all but the
    traced numbers and the names."""
    algorithm = {**config.algorithm, "hyper": sorted(config.algorithm["hyper"])}
    own = {"hyper": sorted(config.hyper), "method": "", "beta": None, "algorithm": algorithm}
    own["provenance"] = own["starting"] = own["run"] = {}
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
