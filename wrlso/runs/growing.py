"""Runs that grow: a run with a larger budget goes on as if it had been asked for at first."""

from collections import Counter
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from wrlso.data import empty_history
from wrlso.loop.algorithm import Algorithm, State
from wrlso.methods import Method
from wrlso.proposers.base import Proposer
from wrlso.resolve import record
from wrlso.runs.folder import RunFolder
from wrlso.runs.log import QueryLog
from wrlso.runs.reopen import resolve_again
from wrlso.storage.tensors import StoredTree
from wrlso.tasks.base import Task

SMALLEST, STEP = 128, 4
"""Capacities of histories on the host: 128, 512, 2048, ... Each is compiled for anew."""


def grow(
    folder: RunFolder, task: Task, method: Method | None, proposer: Proposer | None, budget: int
) -> Algorithm:
    """Give a run a larger budget; the algorithm that it goes on with.

    With an objective in JAX, which is cheap, the run begins anew: another capacity of the history
    rounds sums otherwise, and the run shall be bit by bit the one that was asked for at once. With
    an objective on the host it goes on from the last checkpoint, and is that run, too, as the
    capacity depends on the round alone (:func:`capacity_of`). A round that the old budget has cut
    short is run again, unless people have told results: what they asked for one by one stays as it
    is. Answers that the log has are not asked for again.

    The caller holds the run's lock, and has read its configuration since.

    Raises:
      ValueError: if the budget is smaller than the run's.
    """
    check_growth(folder, budget)
    old = folder.config
    folder.config = replace(old, budget=budget)
    resolved = resolve_again(folder, task, method, proposer)
    folder.config = replace(folder.config, algorithm=record(resolved))
    if budget == old.budget:
        return resolved
    log = folder.open_log()
    try:
        by_people = log.was_told()
        cut = first_cut_round(log, old.seed_numbers, old.queries, resolved.retrain_every)
        cut = 0 if task.objective is not None else cut
    finally:
        log.close()
    if not by_people:
        folder.forget_checkpoints(cut, set(folder.checkpoints()))
    folder.forget_summary()  # before the budget changes
    folder.save_config()
    return resolved


def check_growth(folder: RunFolder, budget: int) -> None:
    """Refuse a budget that is smaller than the run's, before anything is changed.

    Raises:
      ValueError: naming both.
    """
    if budget < folder.config.budget:
        raise ValueError(
            f"budget = {budget} is below {folder.config.budget}, that of the run: a run can only "
            "grow"
        )


def first_cut_round(log: QueryLog, seeds: list[int], queries: int, retrain_every: int) -> int:
    """The first round in which a seed could not have had r queries within a budget of ``queries``.

    A checkpoint after that round, or a later one, is not the state of a run with a larger budget.
    """
    found = []
    for seed in seeds:
        charged = Counter(q.round for q in log.queries(seed) if q.status.charged)
        rounds, before = 0, 0
        while before + retrain_every <= queries and charged[rounds]:
            before += charged[rounds]
            rounds += 1
        found.append(rounds)
    return min(found)


def smallest() -> int:
    """The first capacity.

    On an accelerator it is the second of a CPU's: compilation takes minutes there, and room little.
    """
    return SMALLEST if jax.default_backend() == "cpu" else SMALLEST * STEP


def capacity_of(algorithm: Algorithm, round: int) -> int:
    """Room in the histories during a round of a run whose objective is on the host.

    It depends on the queries that there may be by then, and not on the budget: programs compiled
    for a small budget and for a large one are the same, and so are their results.
    """
    capacity = smallest()
    while capacity < (round + 1) * algorithm.retrain_every:
        capacity *= STEP
    return capacity


def cut(state: State, capacity: int) -> State:
    """The first rows of the histories, which hold all queries of a budget of ``capacity``."""
    stored = state.history.status.shape[1]

    def rows(leaf: Any) -> Any:
        return leaf if leaf.ndim < 2 else leaf[:, : leaf.shape[1] * capacity // stored]

    return (
        state if stored <= capacity else state._replace(history=jax.tree.map(rows, state.history))
    )


def read_state(folder: RunFolder, rounds_done: int, like: Any) -> State:
    """A checkpoint, whose histories get the capacity of ``like`` if the run has grown since."""
    stored = folder.load_checkpoint(rounds_done)
    capacity = stored_capacity(stored, "history/status")
    return enlarged(stored.tree(with_capacity_of(like, capacity)), like)


def stored_capacity(stored: StoredTree, status: str) -> int:
    """The capacity of the histories in a file, whose ``status`` has that name.

    Raises:
      ValueError: if there are none.
    """
    if status not in stored.arrays or stored.arrays[status].ndim != 2:
        raise ValueError(f"{stored.path} holds no state of a run")
    return stored.arrays[status].shape[1]


def with_capacity_of(like: Any, stored: int) -> Any:
    """The shapes of a state whose histories have another capacity."""
    capacity = like.history.status.shape[1]

    def with_capacity(leaf: Any) -> Any:
        if len(leaf.shape) < 2:
            return leaf
        rows = leaf.shape[1] * stored // capacity  # aliases have several times as many
        return jax.ShapeDtypeStruct((leaf.shape[0], rows, *leaf.shape[2:]), leaf.dtype)

    return like._replace(history=jax.tree.map(with_capacity, like.history))


def enlarged(state: State, like: Any) -> State:
    """A state with at least the capacity of ``like``."""
    capacity = like.history.status.shape[1]
    if state.history.status.shape[1] >= capacity:
        return state
    objects, latents = like.history.objects, like.history.latents
    one = jnp.zeros(objects.shape[2:], objects.dtype)
    empty = empty_history(capacity, one, latents.shape[2])

    def filled(full: Any, old: np.ndarray) -> np.ndarray:
        if old.ndim < 2:
            return old
        new = np.repeat(np.asarray(full)[None], len(old), 0).astype(old.dtype)
        new[:, : old.shape[1]] = old
        return new

    return state._replace(history=jax.tree.map(filled, empty, state.history))
