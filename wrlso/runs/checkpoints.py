"""The states of all seeds of one or several runs, kept in the runs' folders after each round."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from wrlso.loop.algorithm import State
from wrlso.parallel import SeedPlan, spread
from wrlso.runs.folder import RunFolder
from wrlso.runs.log import QueryLog


@dataclass(frozen=True, eq=False)
class OpenRun:
    """A run that takes part in a session: its folder and its open log."""

    folder: RunFolder
    log: QueryLog


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
        return run.folder.load_checkpoint(last, like)

    idle_lanes = plan.lanes - plan.seeds
    idle = jax.tree.map(lambda a: np.zeros((idle_lanes, *a.shape[1:]), a.dtype), start)
    saved = [load(run) for run in runs]
    joined = jax.tree.map(lambda *parts: np.concatenate(parts), *saved, idle)
    return last, spread(plan, joined)


def save(runs: Sequence[OpenRun], rounds_done: int, state: State, keep: set[int]) -> None:
    """Write a checkpoint of each run, and forget earlier ones but for the rounds in ``keep``.

    No run forgets its last checkpoint before all have the new one. Wherever the process is killed,
    there is one that all have.
    """
    on_host, first = jax.tree.map(np.asarray, state), 0
    for run in runs:
        seeds = run.folder.config.seeds
        run.folder.save_checkpoint(rounds_done, _lanes(on_host, first, seeds))
        first += seeds
    for run in runs:
        run.folder.forget_checkpoints(rounds_done, keep)


def _lanes(tree: Any, first: int, count: int) -> Any:
    return jax.tree.map(lambda a: a[first : first + count], tree)
