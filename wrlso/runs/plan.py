"""The plan of a run: what it will evaluate, said before anything is evaluated, and its start."""

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from wrlso.data import Dataset
from wrlso.loop.algorithm import Algorithm
from wrlso.methods import Method
from wrlso.models.vae import object_like
from wrlso.resolve import task_record
from wrlso.runs.base_data import scores_of_base, with_elsewhere
from wrlso.runs.config import RunConfig, plan_run
from wrlso.runs.folder import RunFolder
from wrlso.runs.log import Told
from wrlso.runs.processes import read_log
from wrlso.runs.progress import say
from wrlso.runs.provenance import provenance
from wrlso.runs.settings import RunSettings
from wrlso.runs.size import check_size, check_steps
from wrlso.scores import relative, score_offset
from wrlso.storage.sealed import DamagedFile
from wrlso.tasks.base import Task, describer
from wrlso.weighting.registry import Weighting, check_values, is_ours, weights_of

_COLLAPSED = 0.5
"""A run warns if this share of the training weight is on one object of the starting data."""

_SPREAD = 0.1
"""Largest share of the weight on one object, with the k that the warning recommends."""


def describe_plan(task: Task, settings: RunSettings, config: RunConfig, resolved: Algorithm) -> str:
    """The evaluations that a run plans, in one line."""
    seeds = "1 seed" if config.seeds == 1 else f"{config.seeds} seeds"
    queries = f"{seeds} x {config.budget} queries"
    if task.initial:
        start = f"at most {task.initial} {task.starting} are evaluated first and count"
        queries = f"{seeds} x at least {config.budget - task.initial} queries"
    else:
        start = task.starting
    if settings.start_from is not None:
        start += f", and the queries of {settings.start_from}"
    batch = resolved.proposer.batch
    one_by_one = task.host_objective is None or batch == 1
    batches = "" if one_by_one else f", in batches of {batch}"
    who = ", which people measure" if task.measured else ""
    per_ask = resolved.proposer.uncharged
    uncharged = f"; {per_ask:,} uncharged evaluations per batch" if per_ask else ""
    return f"plan: starting data: {start}; then {queries}{batches}{who}{uncharged}"


def announce(task: Task, method: Method, settings: RunSettings) -> None:
    """Check that a run can be made, and say what it will evaluate.

    Raises:
      TypeError, ValueError: if an argument is invalid.
    """
    resolved, config = plan_run(task, method, settings)
    check_initial(task, settings.budget)
    check_size(config, resolved)
    say(describe_plan(task, settings, config, resolved), settings.progress)


def queries_of_runs(path: str | Path | None, task: Task) -> list[Told]:
    """The scored queries of a run, each object once, as measurements that were made elsewhere.

    Raises:
      ValueError: if the folder holds no run, or a run of another task.
    """
    if path is None:
        return []
    folder = RunFolder(Path(path))
    if (folder.config.task, folder.config.minimize) != (task.name, task.minimize):
        raise ValueError(
            f"start_from = {path} is a run of task {folder.config.task!r}, minimize = "
            f"{folder.config.minimize}, not of {task.name!r}, minimize = {task.minimize}"
        )
    with closing(read_log(folder)) as log:
        found = {one.object: one for one in log.elsewhere()}
        for query in log.queries():
            if query.score is not None:
                new = Told(None, query.object, query.score, None, str(path), query.text)
                found.setdefault(query.object, new)
    like = object_like(task.vae)
    size = math.prod(like.shape) * like.dtype.itemsize
    if any(len(stored) != size for stored in found):
        raise ValueError(
            f"start_from = {path} has objects of another form than {like.dtype}{list(like.shape)}, "
            "which the task's model decodes to: start from a run with the same model"
        )
    return list(found.values())


def create(path: Path, config: RunConfig, more: Sequence[Told]) -> RunFolder:
    """Make a run's folder, with the measurements that join its starting data.

    Raises:
      ValueError: if it exists and holds files, or cannot be written.
    """
    folder = RunFolder.create(path, config)
    folder.join(more)
    return folder


def with_all_measurements(folder: RunFolder, base: Dataset, sign: float) -> Dataset:
    """The starting data of a run that was begun before, with the measurements that joined them.

    Raises:
      DamagedFile: if the log lacks measurements with which the run began.
    """
    with closing(folder.open_log(read_only=True)) as log:
        told = log.elsewhere()
    found = len(base.scores) + len(told)  # an earlier version counted an object twice
    if found < folder.config.starting.get("count", 0):
        raise DamagedFile(
            folder.path / "queries.sqlite",
            f"with it there are {found} objects of starting data, and the run began with "
            f"{folder.config.starting['count']}",
            "restore it, or begin the run again in another folder",
        )
    return with_elsewhere(base, told, sign)


def begin(
    task: Task,
    method: Method,
    settings: RunSettings,
    base: Dataset,
    more: Sequence[Told] = (),
    spent: int | None = None,
) -> tuple[Algorithm, RunConfig]:
    """The algorithm and the whole record of a run, once its starting data are loaded.

    ``more`` are the measurements that join them; ``spent`` is the number of evaluations that they
    took of the budget, None: those of the task.
    """
    warn_of_other_scores(task, base, more)
    whole = with_elsewhere(base, more, task.sign)
    starting = starting_record(task, whole, spent)
    resolved, config = plan_run(task, method, settings, starting["initial"])
    check_steps(resolved, len(whole.scores))
    warn_of_collapse(resolved, whole)
    return resolved, replace(
        config,
        task_record=task_record(task, base),
        starting=starting,
        provenance=provenance(),
    )


def check_initial(task: Task, budget: int) -> None:
    """Refuse starting data that leave nothing of the budget.

    Raises:
      ValueError: with the remedy.
    """
    if task.initial and task.initial >= budget:
        raise ValueError(
            f"initial = {task.initial} evaluations of starting data leave nothing of budget = "
            f"{budget}: lower initial, raise budget, or give starting data with scores"
        )


def starting_record(task: Task, base: Dataset, spent: int | None) -> Mapping[str, Any]:
    """The starting data in a few numbers, for the run's record: in the user's sign."""
    scores = np.asarray(base.scores, np.float64)
    best, offset = int(scores.argmax()), score_offset(scores)
    describe = describer(task)
    stored = np.ascontiguousarray(np.asarray(base.objects)[best]).tobytes()
    return {
        "count": len(scores),
        "best": float(task.sign * scores[best]),
        "best_object": describe(stored) or None if describe else None,
        "initial": (task.initial_spent() if spent is None else spent) if task.initial else 0,
        **({"offset": offset} if offset else {}),
    }


def note_starting(folder: RunFolder, task: Task, base: Dataset) -> None:
    """Record the best of the starting data anew, if people have corrected their scores.

    Args:
      folder: the run, whose lock this process has.
      task: its task.
      base: the starting data, with all measurements that joined them.
    """
    stored, known = folder.stored_config(), folder.config
    count = stored.starting.get("count", 0)
    if not 0 < count <= len(base.scores):
        return
    found = starting_record(task, Dataset(base.objects[:count], base.scores[:count]), spent=0)
    noted = {**stored.starting, **{name: found[name] for name in ("best", "best_object")}}
    if noted != dict(stored.starting):
        folder.config = replace(stored, starting=noted)
        folder.save_config()
        folder.config = replace(known, starting=noted)


def warn_of_other_scores(task: Task, base: Dataset, more: Sequence[Told]) -> None:
    """Warn if measurements that join the starting data differ from them about an object."""
    if not more:
        return
    known = scores_of_base(base, task.sign)
    both = [(one, known[one.object]) for one in more if one.object in known]
    other = [(one, old) for one, old in both if np.asarray(one.score, old.dtype) != old]
    if other:
        one, old = other[0]
        warnings.warn(
            f"start_from: {len(other)} objects of the starting data of task {task.name!r} have "
            f"other scores there, which count; the first{f', {one.text},' * bool(one.text)} "
            f"has {one.score} in place of {old}",
            stacklevel=3,
        )


def warn_of_collapse(resolved: Algorithm, base: Dataset) -> None:
    """Warn if nearly all training weight is on one object of the starting data.

    Raises:
      ValueError: if a weighting of the user's gives these data no usable weights.
    """
    numbers = resolved.numbers()
    check_values(resolved.weighting, _working_scores(base), numbers)
    share_with = _share_on_one(resolved, base)
    share = share_with(numbers)
    if share < _COLLAPSED or len(base.scores) == 1:
        return
    advice = "give more starting data"
    if "k" in resolved.hyper and is_ours(resolved.weighting):
        found = (k for k in (1e-2, 1e-1, 1.0, 10.0, np.inf) if k > float(np.asarray(numbers["k"])))
        spread = (k for k in found if share_with(numbers | {"k": k}) < _SPREAD)
        k = next(spread, np.inf)
        less = share_with(numbers | {"k": k})
        advice = f"with k = {k:g} it is {less:.0%}; or give more starting data"
    given = ", ".join(f"{name} = {float(np.asarray(numbers[name])):g}" for name in resolved.hyper)
    warnings.warn(
        f"{share:.0%} of the training weight is on one of the {len(base.scores)} objects of the "
        f"starting data ({given}), so the model would learn it by heart: {advice}",
        stacklevel=3,
    )


def _share_on_one(resolved: Algorithm, base: Dataset) -> Callable[[Mapping[str, Any]], float]:
    """A function from traced numbers to the largest weight of one object, as one program."""
    scores = _working_scores(base)

    # A weighting of the user's is no static argument, as JAX would keep it alive.
    of_own = partial(_largest_weight, resolved.weighting)
    ours = is_ours(resolved.weighting)
    largest = partial(_largest, resolved.weighting) if ours else jax.jit(of_own)
    return lambda numbers: float(largest(scores, dict(numbers)))


def _working_scores(base: Dataset) -> Array:
    return jnp.asarray(relative(base.scores, score_offset(base.scores)))


def _largest_weight(weighting: Weighting, scores: Array, numbers: Mapping[str, Any]) -> Array:
    counts, rounds = jnp.ones(scores.shape, bool), jnp.full(scores.shape, -1, jnp.int32)
    return weights_of(weighting, scores, counts, rounds, numbers).max()


_largest = jax.jit(_largest_weight, static_argnums=0)
