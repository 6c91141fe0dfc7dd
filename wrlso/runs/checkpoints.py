"""The states of all seeds of one or several runs, kept in the runs' folders after each round."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np

from wrlso.data import NO_SCORE
from wrlso.loop.algorithm import State
from wrlso.loop.tell import Settlement, with_outcomes
from wrlso.parallel import SeedPlan, spread
from wrlso.runs.folder import RunFolder
from wrlso.runs.growing import enlarged, read_state
from wrlso.runs.log import QueryLog
from wrlso.scores import relative
from wrlso.status import Status
from wrlso.storage.sealed import DamagedFile
from wrlso.tasks.base import Task, describer


@dataclass(frozen=True, eq=False)
class OpenRun:
    """A run that takes part in a session: its folder and its open log."""

    folder: RunFolder
    log: QueryLog


@contextmanager
def opened(folders: Sequence[RunFolder], task: Task) -> Iterator[list[OpenRun]]:
    """The runs, locked against other processes, with their logs open.

    Raises:
      ValueError: if another process is running one of them, or has let it grow.
    """
    describe = describer(task)
    with ExitStack() as stack:
        for folder in folders:
            stack.enter_context(folder.held())
        logs = [f.open_log(describe=describe, durable=task.objective is None) for f in folders]
        yield [
            OpenRun(folder, stack.enter_context(closing(log)))
            for folder, log in zip(folders, logs, strict=True)
        ]


def restore(runs: Sequence[OpenRun], plan: SeedPlan, start: State) -> tuple[int, State]:
    """The number of rounds done in all runs, and the state of all lanes after them.

    Args:
      runs: whose seeds are the lanes, in order.
      plan: of the lanes.
      start: the state of all lanes before the first round.
    """
    done = set.intersection(*(set(run.folder.checkpoints()) for run in runs))
    if not done:
        return 0, start
    last = max(done)

    def load(run: OpenRun) -> State:
        like = jax.eval_shape(lambda: _lanes(start, 0, run.folder.config.seeds))
        state = read_state(run.folder, last, like)
        check_log(run, state.history, run.folder.checkpoint_file(last), last)
        return state

    idle_lanes = plan.lanes - plan.seeds
    saved = [load(run) for run in runs]
    largest = max(saved, key=lambda state: state.history.status.shape[1])
    saved = [enlarged(state, largest) for state in saved]
    idle = jax.tree.map(lambda a: np.zeros((idle_lanes, *a.shape[1:]), a.dtype), largest)
    joined = jax.tree.map(lambda *parts: np.concatenate(parts), *saved, idle)
    return last, spread(plan, joined)


def save(
    runs: Sequence[OpenRun], rounds_done: int, state: State, keep: set[int], durable: bool = True
) -> None:
    """Write a checkpoint of each run, and forget earlier ones but for the rounds in ``keep``.

    No run forgets its last checkpoint before all have the new one. Wherever the process is killed,
    there is one that all have. A power failure may damage one that is not ``durable``.
    """
    first = 0
    for run in runs:
        seeds = run.folder.config.seeds
        lanes = jax.tree.map(partial(_OnHost, first=first, count=seeds), state)
        run.folder.save_checkpoint(rounds_done, lanes, durable)
        first += seeds
    for run in runs:
        run.folder.forget_checkpoints(rounds_done, keep)


@dataclass(frozen=True)
class _OnHost:
    """Some lanes of an array ``[lanes, ...]`` on the devices, which come to the host when they are
    written: one array at a time, and without a copy that lives as long as the array does."""

    array: Any
    first: int
    count: int

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.count, *self.array.shape[1:])

    @property
    def dtype(self) -> np.dtype:
        return np.dtype(self.array.dtype)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        shards = getattr(self.array, "addressable_shards", ())
        if len(shards) < 2:
            whole = np.asarray(self.array)
        else:
            parts = {shard.index[0].start or 0: shard.data for shard in shards}
            whole = np.concatenate([np.asarray(parts[start]) for start in sorted(parts)])
        return np.asarray(whole[self.first : self.first + self.count], dtype)


def force(runs: Sequence[OpenRun], rounds_done: int, keep: set[int]) -> None:
    """Put the log and the last checkpoint of each run on the disk, and forget others as
    :func:`save` does."""
    for run in runs:
        run.log.fold()
        if rounds_done in run.folder.checkpoints():
            run.folder.force_checkpoint(rounds_done)
    for run in runs:
        run.folder.forget_checkpoints(rounds_done, keep)


def forget_later_rounds(runs: Sequence[OpenRun], rounds_done: int, queries: bool) -> None:
    """Forget states, and if asked for also queries, of later rounds, in which not all runs took
    part to their end."""
    for run in runs:
        run.folder.forget_checkpoints(rounds_done, set(run.folder.checkpoints()))
        if queries:
            run.log.forget_from(rounds_done)


def _lanes(tree: Any, first: int, count: int) -> Any:
    return jax.tree.map(lambda a: a[first : first + count], tree)


def check_log(run: OpenRun, history: Any, file: Path, rounds: int | None = None) -> None:
    """Refuse a log that lacks queries of a state, as one that was copied without its last part.

    Args:
      run: whose log it is.
      history: of the state, with an axis ``[seeds]`` in front, in NumPy.
      file: which holds the state.
      rounds: number of rounds done in the state; None: those of the log.

    Raises:
      DamagedFile: naming the log and the file.
    """
    for lane, seed in enumerate(run.folder.config.seed_numbers):
        used = int(history.used[lane])
        logged = [
            (q.latent, q.object)
            for q in run.log.queries(seed)
            if q.status.charged and (rounds is None or q.round < rounds)
        ][: used if rounds is None else None]
        kept = [
            (np.asarray(latent, "<f4").tobytes(), np.ascontiguousarray(thing).tobytes())
            for latent, thing in zip(
                history.latents[lane][:used], history.objects[lane][:used], strict=True
            )
        ]
        if logged != kept:
            raise DamagedFile(
                run.log.path,
                f"it holds {sum(one in logged for one in kept)} of the {used} queries of seed "
                f"{seed} that {file} has, and {sum(one not in kept for one in logged)} others",
                "restore both as they were, with queries.sqlite-wal if there is one; or delete "
                f"{file.name}, and what the log lacks is evaluated again",
            )


def outcomes(
    log: QueryLog, seed: int, history: Any, sign: float, offset: float
) -> tuple[Settlement, bool]:
    """Outcomes that people told and the history of a seed, ``[C, ...]`` in NumPy, has otherwise.

    A logged score times ``sign``, less ``offset``, is the score in a history.

    Returns:
      The outcomes, and whether one of them replaces an outcome that the history had.
    """
    charged = [q for q in log.queries(seed) if q.status.charged][: int(history.used)]
    scores, status, told = history.scores.copy(), history.status.copy(), log.told()
    for row, query in enumerate(charged):
        if status[row] != Status.PENDING and (seed, query.round, query.index) not in told:
            continue
        scores[row] = NO_SCORE if query.score is None else relative(sign * query.score, offset)
        status[row] = query.status
    rows = (scores != history.scores) | (status != history.status)
    corrected = rows & (history.status != Status.PENDING)
    return Settlement(rows, scores, status), bool(corrected.any())


def settled(plan: SeedPlan, state: State, settlement: Settlement) -> State:
    """The state with the outcomes ``[lanes, C]``, at the beginning of a round."""
    history = jax.vmap(with_outcomes)(state.history, settlement)
    return state._replace(history=spread(plan, history))


def with_late_results(
    logs: Sequence[QueryLog],
    seeds: Sequence[int],
    plan: SeedPlan,
    state: State,
    sign: float,
    offset: float,
) -> State:
    """The state with the results that were told or corrected later than it was saved; see
    :func:`outcomes`.

    Raises:
      ValueError: if objects are being measured.
    """
    history = jax.tree.map(np.asarray, state.history)
    scores, status = history.scores.copy(), history.status.copy()
    told = {id(log): {key[0] for key in log.told()} for log in logs}
    for lane, (log, seed) in enumerate(zip(logs, seeds, strict=True)):
        if seed in told[id(log)] or (status[lane] == Status.PENDING).any():
            found, _ = outcomes(log, seed, _lane(history, lane), sign, offset)
            scores[lane] = np.where(found.rows, found.scores, scores[lane])
            status[lane] = np.where(found.rows, found.status, status[lane])
    if open_ones := int((status == Status.PENDING).sum()):
        raise ValueError(
            f"{open_ones} objects are being measured: tell their results first ('wrlso tell')"
        )
    rows = (status != history.status) | (scores != history.scores)
    return settled(plan, state, Settlement(rows, scores, status)) if rows.any() else state


def _lane(tree: Any, lane: int) -> Any:
    return jax.tree.map(lambda a: a[lane], tree)
