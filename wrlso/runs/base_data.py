"""The base data of a run: checked before any work, and kept in its folder if they were paid for."""

import warnings
from collections.abc import Sequence
from contextlib import closing
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from wrlso.data import Dataset, check_dataset, describe_conflict, find_replicates
from wrlso.evaluation.objective import HostEvaluator, HostObjective
from wrlso.models.vae import object_like
from wrlso.runs.folder import RunFolder
from wrlso.runs.log import Told
from wrlso.scores import evaluate, relative, score_offset
from wrlso.storage.numbers import shown
from wrlso.storage.tensors import save_tree
from wrlso.tasks.base import Task

_SPREAD = 0.01
"""Share of the range of all scores by which those of one thing may differ without a warning."""


def load_base(task: Task) -> Dataset:
    """A task's base data as the loop sees them, after checking that model and objective fit them.

    Scores are negated if the task minimises. Objects are in the canonical spelling of a Python
    objective that has one; an object without one keeps its own.

    Base data that all have one score are warned of, and spellings of one thing whose scores differ.

    Raises:
      ValueError: naming what does not fit, and the remedy.
    """
    base = task.maximized().load_data()
    check_dataset(base, f"the base data of task {task.name!r}")
    spelled = _canonical(task, base)
    _check_conflicts(task, base, spelled)
    base = base if spelled is None else base._replace(objects=jnp.asarray(spelled))
    like, kept = object_like(task.vae), base.objects
    if (like.shape, like.dtype) != (kept.shape[1:], kept.dtype):
        raise ValueError(
            f"task {task.name!r} decodes to {like.dtype}{list(like.shape)}, but the objects of "
            f"its base data are {kept.dtype}{list(kept.shape[1:])}: equal objects are recognised "
            "bit by bit, so give both the same form"
        )
    if task.objective is not None:
        few = jax.ShapeDtypeStruct((2, *like.shape), like.dtype)
        jax.eval_shape(partial(evaluate, task.objective), few)  # its shape, before any work
    scores = np.asarray(base.scores, np.float64)
    used = relative(scores, score_offset(scores))
    if not np.isfinite(used).all():
        raise ValueError(
            f"the base data of task {task.name!r} score "
            f"{task.sign * scores[~np.isfinite(used)][0]:g}, which "
            "float32 cannot hold: give scores of a smaller range, such as their logarithms"
        )
    if len(scores) > 1 and (used == used[0]).all():
        warnings.warn(
            f"all {len(scores)} base objects of task {task.name!r} score "
            f"{shown(task.sign * scores[0], 6)}: they tell "
            "nothing about where better ones are; give other base data, or another objective",
            stacklevel=3,
        )
    return base


def _canonical(task: Task, base: Dataset) -> np.ndarray | None:
    """The base objects in their canonical spelling; None: they have none, or are in it already."""
    host = task.host_objective
    if not isinstance(host, HostObjective) or host.canonical is None or host.base_is_canonical:
        return None
    objects = np.array(base.objects)
    with HostEvaluator(host) as evaluator:
        for outcome in evaluator.outcomes("canonical", list(np.asarray(base.objects))):
            if outcome.kind == "ok":
                objects[outcome.position] = outcome.value
    return objects


def _check_conflicts(task: Task, base: Dataset, spelled: np.ndarray | None) -> None:
    """Refuse equal objects with different scores, and different spellings of one object, which
    ``spelled`` holds in its canonical one. Objects of one key are warned of, as the task's key may
    take things for one that are almost equal."""
    things, combined = find_replicates(base, "refuse")
    if len(combined.differing):
        conflict = describe_conflict(base, things, combined, minimize=task.minimize)
        raise ValueError(f"the base data of task {task.name!r}: {conflict}")
    if spelled is not None:
        things, combined = find_replicates(Dataset(jnp.asarray(spelled), base.scores), "refuse")
        if len(combined.differing):
            conflict = describe_conflict(
                base, things, combined, "canonical=...", minimize=task.minimize
            )
            raise ValueError(
                f"the base data of task {task.name!r}, in the canonical spelling of its "
                f"host_objective: {conflict}"
            )
    if task.dedup_key is None:
        return
    things, combined = find_replicates(base, "refuse", task.dedup_key)
    if combined.spread > _SPREAD * float(np.ptp(np.asarray(base.scores))):
        warnings.warn(
            f"under the dedup_key of task {task.name!r}, "
            f"{describe_conflict(base, things, combined, minimize=task.minimize)} (and the key)",
            stacklevel=4,
        )


def base_of(folder: RunFolder, task: Task) -> Dataset:
    """The base data of a run: those that its folder keeps, else the task's.

    The scores of a Python objective are kept. Asking for them again costs evaluations, and a
    molecule that had no score then may have one now.

    Raises:
      ValueError: if the file is not as it was written, or is another run's.
    """
    file = folder.base_file
    if not file.exists():
        return load_base(task)
    remedy = "restore it; if it is deleted, the starting data are loaded and scored again"
    kept: Any = folder.read_tensors(file, remedy, folder.about("base")).arrays
    if set(kept) != set(Dataset._fields):
        raise ValueError(f"{file} holds no starting data, but {', '.join(kept)}; {remedy}")
    return Dataset(jnp.asarray(kept["objects"]), kept["scores"])  # scores in float64


def keep_base(folder: RunFolder, task: Task, base: Dataset) -> None:
    """Keep the base data of a run whose objective is a Python function."""
    if task.host_objective is not None and not folder.base_file.exists():
        with closing(folder.open_log()):
            pass  # it is made before the base data, with which a missing log counts as lost
        save_tree(folder.base_file, base._asdict(), folder.about("base"))


def with_elsewhere(base: Dataset, told: Sequence[Told], sign: float) -> Dataset:
    """The base data with the measurements that were made elsewhere, each object once.

    A measurement of a base object takes the place of its score, and so does a later one of the same
    object. Other objects come after the base data. ``sign`` is the task's.
    """
    if not told:
        return base
    latest = {one.object: one.score for one in told}  # each at its first place
    objects, scores = np.asarray(base.objects), np.array(base.scores, np.float64)
    for row, name in enumerate(map(np.ndarray.tobytes, objects)):
        if name in latest:
            scores[row] = sign * _number(latest[name])
    known = set(map(np.ndarray.tobytes, objects))
    new = {name: score for name, score in latest.items() if name not in known}
    more = [np.frombuffer(name, objects.dtype).reshape(objects.shape[1:]) for name in new]
    values: Any = np.concatenate([scores, [sign * _number(score) for score in new.values()]])
    together = np.concatenate([objects, more]) if more else objects
    return Dataset(jnp.asarray(together), values)


def _number(score: float | None) -> float:
    assert score is not None  # nobody asked for the object, so it has no failure
    return score


def scores_of_base(base: Dataset, sign: float) -> dict[bytes, np.floating]:
    """The scores of the base objects in the task's sign and in their own precision, by object as
    raw bytes."""
    scores = np.asarray(base.scores)
    signed = scores if sign > 0 else -scores
    return dict(zip(map(np.ndarray.tobytes, np.asarray(base.objects)), signed, strict=True))
