"""Runs driven to their end, in one process or in several."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing

from tqdm import tqdm

from wrlso.data import Dataset
from wrlso.loop.algorithm import Algorithm
from wrlso.parallel import plan_seeds
from wrlso.runs import processes
from wrlso.runs.checkpoints import OpenRun, opened
from wrlso.runs.events import Callback
from wrlso.runs.folder import RunFolder
from wrlso.runs.interrupt import remembered_interrupts
from wrlso.runs.pretrained import pretrained_params
from wrlso.runs.process import few_blas_threads
from wrlso.runs.progress import pretrain_bar, timed
from wrlso.runs.session import Session
from wrlso.storage.bars import bars_shown
from wrlso.tasks.base import Task

Summarize = Callable[[Sequence[OpenRun], Task, dict[str, int]], None]
"""Writes the summary of each run, given the number of compilations of each function."""


def run_to_end(
    folders: Sequence[RunFolder],
    task: Task,
    resolved: Algorithm,
    base: Dataset,
    progress: bool,
    callback: Callback | None,
    summarize: Summarize,
) -> None:
    """Run to their end runs that differ in traced numbers only."""
    config = folders[0].config
    names = ", ".join(dict.fromkeys(folder.config.method for folder in folders))
    with ExitStack() as stack:
        check_interrupt = stack.enter_context(remembered_interrupts(say=progress))
        runs = list(stack.enter_context(opened(folders, task)))

        def clock(phase: str, seconds: float) -> None:
            for run in runs:
                run.log.add_time(phase, -1, seconds / len(runs))

        with timed(clock, "pretrain"):
            params = pretrained_params(task, base, pretrain_bar() if progress else None)
        with timed(clock, "session"), few_blas_threads(_devices(folders)):
            session = stack.enter_context(
                closing(Session(runs, task, resolved, base, params, callback=callback))
            )
            bar = tqdm(
                total=config.queries * len(session.seeds),
                initial=int(session.counts.sum()),
                desc=f"{config.task}: {names}",
                unit="query",
                disable=not (progress and bars_shown()),
            )
            with bar:
                session.run_rounds(bar, check_interrupt)
            compilations = session.compilations
        summarize(runs, task, compilations)


def run_shares(
    folder: RunFolder,
    task: Task,
    resolved: Algorithm,
    base: Dataset,
    progress: bool,
    callback: Callback | None,
    summarize: Summarize,
) -> None:
    """Run this process's shares of a run to their end; the first process, which has the lock of the
    run's folder, joins all of them."""
    out, (index, _) = folder.path, processes.process()
    for share in processes.own_shares(out):
        shown = progress and index == 0
        run_to_end([share], task, resolved, base, shown, callback, summarize)
    if index == 0:
        processes.wait_for_shares(out)
        with opened([folder], task) as runs:
            summarize(runs, task, processes.join_shares(runs[0]))
    processes.wait_for_summary(out)


def _devices(folders: Sequence[RunFolder]) -> int:
    """Number of devices on which the seeds of runs are spread."""
    config, seeds = folders[0].config, sum(folder.config.seeds for folder in folders)
    return plan_seeds(seeds, config.devices, config.seed_mode, local=True).mesh.size
