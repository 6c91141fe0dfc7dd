"""A run of several processes under ``jax.distributed``, on one host or on many.

Each process drives and logs a share of the seeds on its own devices, in a folder of its own below
the run's: a run like any other. No program and no log is shared, so a seed gives the queries that
it gives alone. When all shares are done, the first process joins them into the run's folder, which
is then that of a run of one process. All processes need the same file system.
"""

import os
import shutil
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, ExitStack, closing, nullcontext
from dataclasses import replace
from pathlib import Path

import jax
import numpy as np
from jax.experimental.multihost_utils import sync_global_devices

from wrlso.runs.checkpoints import OpenRun
from wrlso.runs.config import RunConfig
from wrlso.runs.folder import RunFolder
from wrlso.runs.log import QueryLog
from wrlso.storage.sealed import DamagedFile

_SHARES = "processes"
"""The folder of the shares below that of a run."""

_PATIENCE = 0.5
"""Seconds between two looks for what another process writes."""


def process() -> tuple[int, int]:
    """Number of this process, from 0, and number of processes; this starts no backend."""
    if not jax.distributed.is_initialized():
        return 0, 1
    return jax.process_index(), jax.process_count()


def join_processes() -> None:
    """Start ``jax.distributed``, as ``--distributed`` does.

    Clusters that JAX knows (SLURM, TPU pods, Open MPI) say who is who. Elsewhere the environment
    does: JAX_COORDINATOR_ADDRESS, JAX_NUM_PROCESSES and JAX_PROCESS_ID.

    Raises:
      ValueError: if neither does.
    """
    names = ("JAX_COORDINATOR_ADDRESS", "JAX_NUM_PROCESSES", "JAX_PROCESS_ID")
    given = [os.environ.get(name) for name in names]
    if jax.distributed.is_initialized():
        return
    if all(given):
        jax.distributed.initialize(given[0], int(given[1] or 0), int(given[2] or 0))
        return
    try:
        jax.distributed.initialize()
    except (ValueError, RuntimeError) as error:
        raise ValueError(
            f"distributed: JAX finds no cluster here ({error}): set {', '.join(names)} in each "
            "process"
        ) from error


def wait_for_all() -> None:
    """Wait until every process is here."""
    sync_global_devices("wrlso: begin")


def split(folder: RunFolder) -> None:
    """Make the folders of the shares of a new run; the first process calls this."""
    for number, share in enumerate(_split(folder.config, process()[1])):
        RunFolder.create(folder.path / _SHARES / f"{number:05d}", share)
    (folder.path / _SHARES / "all").touch()


def wait_for_split(out: Path) -> RunFolder:
    """The folder of a run, once the first process has made all shares."""
    _wait_for([out / _SHARES / "all"])
    return RunFolder(out)


def _split(config: RunConfig, count: int) -> list[RunConfig]:
    """Neighbouring seeds for each process, as many as for the others or one more."""
    parts = [part for part in np.array_split(config.seed_numbers, count) if len(part)]
    return [replace(config, seeds=len(part), first_seed=int(part[0])) for part in parts]


def check_resumable(folder: RunFolder, grows: bool) -> None:
    """Refuse to let several processes continue a run of one, or to let unfinished shares grow.

    Raises:
      ValueError: with the remedy.
    """
    several, shared = process()[1] > 1, has_shares(folder.path)
    if several and (grows or not shared) and (grows or not folder.is_finished()):
        raise ValueError(
            f"{folder.path} was begun by one process, or is to grow, and only one can do that: "
            "resume it without jax.distributed ('--distributed')"
        )
    if grows and shared and not folder.is_finished():
        raise ValueError(
            f"{folder.path} was begun by several processes and is not finished: resume it to its "
            "end with the budget that it has, then with the larger one"
        )


def locked_by_one(folder: RunFolder) -> AbstractContextManager[None]:
    """The lock of a run's folder, which the first of several processes has for all of them.

    Raises:
      ValueError: if another process is running the run.
    """
    return nullcontext() if process()[0] else folder.locked()


def forget_shares(out: Path) -> None:
    """Delete the folders of shares that were joined: the run is one of a single process now."""
    shutil.rmtree(out / _SHARES, ignore_errors=True)


def has_shares(out: Path) -> bool:
    """Whether a run was begun by several processes: they have made all shares, or have queries."""
    made = (out / _SHARES / "all").exists()
    return made or any((out / _SHARES).glob("*/queries.sqlite"))


def shares(out: Path) -> list[RunFolder]:
    """The folders of the shares of a run, in the order of their seeds.

    Raises:
      DamagedFile: if they are not all there, or belong to another run.
    """
    config = RunFolder(out).config
    found = [RunFolder(path.parent) for path in sorted((out / _SHARES).glob("*/config.json"))]
    seeds = [seed for share in found for seed in share.config.seed_numbers]
    remedy = f"restore it as it was; or delete it, and 'wrlso resume {out}' runs all seeds again"
    if seeds != config.seed_numbers:
        why = f"its folders hold the seeds {seeds}, and the run has {config.seed_numbers}"
        raise DamagedFile(out / _SHARES, why, remedy)
    for share in found:
        if share.config.run != config.run:
            raise DamagedFile(share.path, f"it belongs to run {share.config.run}", remedy)
    return found


def is_running(folder: RunFolder) -> bool:
    """Whether a process is running a run or one of its shares, as far as can be seen."""
    whole = shares(folder.path) if has_shares(folder.path) else []
    return any(one.is_locked() for one in (folder, *whole))


def read_log(folder: RunFolder) -> QueryLog:
    """The log of a run, to be read: until its shares are joined, what all of them have logged.

    Raises:
      DamagedFile: if a log is not as it was written, or a share is missing.
    """
    log = folder.open_log(read_only=True)
    if not has_shares(folder.path) or folder.is_finished():
        return log
    with ExitStack() as stack:
        stack.enter_context(closing(log))
        found = shares(folder.path)
        logs = [stack.enter_context(closing(one.open_log(read_only=True))) for one in found]
        joined = QueryLog(Path(":memory:"))
        joined.replace_by(logs)
        joined.add_results(log.elsewhere())
        return joined


def own_shares(out: Path) -> list[RunFolder]:
    """The shares that this process drives and that are not finished."""
    index, count = process()
    return [one for one in shares(out)[index::count] if not one.summary_file.exists()]


def wait_for_shares(out: Path) -> None:
    """Wait until every share is finished. A process that dies ends the others, too: JAX sees to
    that."""
    _wait_for([share.summary_file for share in shares(out)])


def wait_for_summary(out: Path) -> None:
    """Wait until the first process has joined the shares."""
    _wait_for([out / "summary.json"])


def _wait_for(files: Sequence[Path]) -> None:
    while not all(file.exists() for file in files):
        time.sleep(_PATIENCE)


def join_shares(run: OpenRun) -> dict[str, int]:
    """Join logs and checkpoints of finished shares in the run's folder; again, if need be.

    Returns:
      The largest number of compilations of each function in any process.
    """
    folder, parts = run.folder, shares(run.folder.path)
    compilations: dict[str, int] = {}
    for part in parts:
        for name, n in part.load_summary()["compilations"].items():
            compilations[name] = max(n, compilations.get(name, 0))
    with ExitStack() as stack:
        logs = [stack.enter_context(closing(part.open_log(read_only=True))) for part in parts]
        run.log.replace_by(logs)
    run.log.fold()
    for rounds in sorted(set().union(*(part.checkpoints() for part in parts))):
        # A seed that has spent its budget keeps its state.
        last = [(part, min(rounds, part.checkpoints()[-1])) for part in parts]
        if all(done in part.checkpoints() for part, done in last):
            found = [part.load_checkpoint(done).arrays for part, done in last]
            joined = {name: np.concatenate([one[name] for one in found]) for name in found[0]}
            folder.save_checkpoint(rounds, joined)
    return compilations
