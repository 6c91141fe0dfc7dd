"""The command line: ``wrlso run | resume | report | tasks | methods | data | train``."""

from __future__ import annotations

import contextlib
import sqlite3
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tyro
from tyro.conf import Positional

from wrlso.methods import METHODS, get_method
from wrlso.options import RUN_OPTIONS
from wrlso.parallel import request_cpu_devices

if TYPE_CHECKING:
    from wrlso.runs.result import Result
    from wrlso.tasks.base import Task


@dataclass(frozen=True)
class Run:
    """Run a method on a task over several seeds, into a new folder."""

    task: Positional[str]
    """The task; 'wrlso tasks' lists them. 'wrlso run TASK --help' tells its options."""


@dataclass(frozen=True)
class Resume:
    """Continue an interrupted run. Ends with the queries of the uninterrupted run."""

    run: Positional[Path]
    """The run's folder."""
    devices: int | None = None
    """Devices to spread seeds over, instead of the number the run began with."""
    figures: bool = True
    """Draw figures at the end."""
    progress: bool = True
    """Show progress bars."""


@dataclass(frozen=True)
class Report:
    """Print the tables of finished runs, and draw their figures again."""

    runs: Positional[tuple[Path, ...]]
    """Folders of finished runs."""
    figures: bool = False
    """Draw each run's figures into its folder."""
    csv: Path | None = None
    """Also write every query of all these runs to this CSV file."""


@dataclass(frozen=True)
class Tasks:
    """List the tasks."""


@dataclass(frozen=True)
class Methods:
    """List the methods."""


@dataclass(frozen=True)
class Data:
    """Say whether a file is ZINC250k, or what molecules it holds and which lines are rejected."""

    path: Positional[Path | None] = None
    """A file of molecules, or a folder to look for ZINC250k in. Without one: what ZINC250k is,
    and where to get it."""
    max_tokens: int | None = None
    """Reject molecules of more SELFIES tokens."""
    max_heavy_atoms: int | None = None
    """Reject molecules of more atoms other than hydrogen."""
    column: str = "smiles"
    """The column of a CSV file that holds the SMILES."""
    model: Path | None = None
    """Reject molecules that this model has no tokens for. Default: the one that comes with
    wrlso."""
    any_tokens: bool = False
    """Reject none for its tokens: what 'wrlso train molecules' would take."""
    rejected: Path | None = None
    """Write every rejected line, with the reason, to this CSV file."""


@dataclass(frozen=True)
class Train:
    """Train a model of your own data. Stopped, the same command goes on."""

    task: Positional[str]
    """What to train a model of: molecules. 'wrlso train molecules --help' tells the options."""


@dataclass(frozen=True)
class TrainMolecules:
    """Train a model of molecules from a file of them. Stopped, the same command goes on."""

    data: Path
    """A file of molecules: a SMILES on each line, or a CSV file with a column 'smiles'."""
    out: Path
    """The model's file, for 'wrlso run molecules --model'. Checkpoints and log.csv, a line an
    epoch, stand in a folder of this name that ends in .training."""
    epochs: float = 40.0
    """Passes over the data. More can be asked for later, as long as the rate does not fall yet."""
    decay: float = 8.0
    """Of them, at the end, those in which the learning rate falls to 0."""
    batch_size: int = 256
    """Molecules a step."""
    learning_rate: float = 1e-3
    """Adam's."""
    beta: float = 0.03
    """Factor of the KL divergence."""
    seed: int = 0
    """Of parameters, held-out molecules, order and noise."""
    half_products: bool = False
    """Multiply in bfloat16: faster where the processor can (AVX512-BF16, AMX), else slower."""
    progress: bool = True
    """Show progress bars."""


_COMMANDS: dict[str, Callable[..., Any]] = {
    "run": Run,
    "resume": Resume,
    "report": Report,
    "tasks": Tasks,
    "methods": Methods,
    "data": Data,
    "train": Train,
}
_DESCRIPTION = """Optimise expensive black boxes in the latent space of generative models, by
weighted retraining. A first run: wrlso run shapes --out runs/first"""


def main(argv: list[str] | None = None) -> int:
    """The entry point; returns the exit status."""
    argv = sys.argv[1:] if argv is None else argv
    try:
        return _dispatch(argv)
    except (ValueError, FloatingPointError, ImportError, OSError, sqlite3.Error) as error:
        print(f"wrlso: error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("wrlso: interrupted", file=sys.stderr)
        return 130


def _dispatch(argv: list[str]) -> int:
    of_a_task = {"run": _run, "train": _train}
    if len(argv) > 1 and argv[0] in of_a_task and not argv[1].startswith("-"):
        return of_a_task[argv[0]](argv[1], argv[2:])
    command = tyro.extras.subcommand_cli_from_dict(
        _COMMANDS, prog="wrlso", description=_DESCRIPTION, args=argv or ["--help"]
    )
    if isinstance(command, Run):
        raise ValueError(
            f"name the task first, then its options: wrlso run {next(iter(RUN_OPTIONS))} --out DIR"
        )
    if isinstance(command, Resume):
        return _resume(command)
    if isinstance(command, Report):
        return _report(command)
    if isinstance(command, Data):
        return _data(command)
    if isinstance(command, Train):
        raise ValueError("name the task first: wrlso train molecules --data FILE --out MODEL")
    if isinstance(command, Methods):
        _print_table(("method", "what it does"), [(m.name, m.summary) for m in METHODS.values()])
    if isinstance(command, Tasks):
        rows = [(name, str(options.__doc__)) for name, options in RUN_OPTIONS.items()]
        _print_table(("task", "what it asks"), rows)
    return 0


def _run(name: str, argv: list[str]) -> int:
    if name not in RUN_OPTIONS:
        raise ValueError(f"unknown task {name!r}; there are: {', '.join(RUN_OPTIONS)}")
    options = tyro.cli(RUN_OPTIONS[name], prog=f"wrlso run {name}", args=argv)
    method = get_method(options.method).with_options(
        options.k,
        options.retrain_every,
        options.quantile,
        options.noise,
        options.alpha,
        options.epochs,
        options.beta,
    )
    _prepare(options.seeds, options.devices)
    from wrlso.runs.driver import run
    from wrlso.tasks import TASKS

    task = TASKS[name](**options.task_options())
    with _says_how_to_resume(options.out):
        result = run(
            task,
            method,
            out=options.out,
            budget=options.budget,
            seeds=options.seeds,
            first_seed=options.first_seed,
            proposer=options.proposer,
            batch=options.batch,
            climb=options.climb,
            devices=options.devices,
            seed_mode=options.seed_mode,
            progress=options.progress,
        )
    return _finish(result, options.figures, task)


def _resume(command: Resume) -> int:
    from wrlso.runs.build import task_of
    from wrlso.runs.driver import resume
    from wrlso.runs.folder import RunFolder

    folder = RunFolder(command.run)
    config = folder.config
    if folder.summary_file.exists():
        print(f"{command.run} is finished: nothing was left to do")
    _prepare(config.seeds, command.devices or config.devices)
    task = task_of(config)
    with _says_how_to_resume(command.run):
        result = resume(command.run, task=task, devices=command.devices, progress=command.progress)
    return _finish(result, command.figures, task)


def _data(command: Data) -> int:
    from wrlso.chem.load import about_zinc, find_zinc, load_molecules, report, write_rejected
    from wrlso.host.cache import cache_dir
    from wrlso.tasks.molecules_model import load_model
    from wrlso.tasks.molecules_task import SHIPPED

    path = command.path
    if path is None:
        print(about_zinc())
        return 0
    if not path.exists():
        raise FileNotFoundError(f"there is no file or folder {path}")
    try:
        print(f"{path}: ZINC250k, {len(find_zinc(path))} molecules, to the letter")
        return 0
    except ValueError:
        zinc = f"{path} is not ZINC250k ('wrlso data' alone says what that is)."
    model = None if command.any_tokens else load_model(command.model or SHIPPED)
    loaded = load_molecules(
        path,
        column=command.column,
        alphabet=None if model is None else model.fragments.alphabet,
        max_tokens=command.max_tokens,
        max_heavy_atoms=command.max_heavy_atoms,
        directory=cache_dir() / "molecules",
    )
    print(f"{path}: {len(loaded.smiles)} different molecules; {report(loaded.rejected)}\n{zinc}")
    if command.rejected is not None:
        write_rejected(command.rejected, loaded.rejected)
        print(f"rejected lines: {command.rejected}")
    return 0


def _train(name: str, argv: list[str]) -> int:
    if name != "molecules":
        raise ValueError(f"no model of {name!r} can be trained; there is: molecules")
    command = tyro.cli(TrainMolecules, prog=f"wrlso train {name}", args=argv)
    from wrlso.runs.train_molecules import train_molecules
    from wrlso.runs.training import TrainingConfig

    names = ("epochs", "decay", "batch_size", "learning_rate", "beta", "seed")
    config = TrainingConfig(**{name: getattr(command, name) for name in names})
    card = train_molecules(
        command.data,
        command.out,
        config,
        half_products=command.half_products,
        progress=command.progress,
    )
    print(f"model: {command.out}")
    print(
        f"{card['held_out_reconstructed']:.1%} of {card['held_out']} molecules kept back are "
        "reconstructed to the letter"
    )
    return 0


@contextlib.contextmanager
def _says_how_to_resume(out: Path) -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        if (out / "config.json").exists():
            print(f"\nwrlso: nothing is lost; go on with: wrlso resume {out}", file=sys.stderr)
        else:
            print("\nwrlso: nothing had been scored yet: run it again", file=sys.stderr)
        raise


def _report(command: Report) -> int:
    from wrlso.report.tables import comparison_table
    from wrlso.runs.result import Result

    if not command.runs:
        raise ValueError("no run folder given: wrlso report FOLDER [FOLDER ...]")
    results = [Result(path) for path in command.runs]
    print(
        results[0].table()
        if len(results) == 1
        else comparison_table([result.summary for result in results])
    )
    if command.csv:
        from wrlso.report.export import write_csv

        write_csv(results, command.csv)
        print(f"queries: {command.csv}")
    if command.figures:
        for result in results:
            _draw(result)
    return 0


def _finish(result: Result, figures: bool, task: Task) -> int:
    print("\n" + result.table() + "\n")
    print(f"run folder: {result.folder.path}")
    if figures:
        _draw(result, task)
    return 0


def _draw(result: Result, task: Task | None = None) -> None:
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        print("figures skipped: install them with  pip install 'wrlso[plots]'")
        return
    for path in result.plot(task):
        print(f"figure: {path}")


def _prepare(seeds: int, devices: int | None) -> None:
    """Before JAX starts: virtual CPU devices, and a cache of compiled programs."""
    import jax

    from wrlso.host.cache import cache_dir

    if seeds >= 1 and (devices is None or devices >= 1):
        request_cpu_devices(seeds, devices)
    jax.config.update("jax_compilation_cache_dir", str(cache_dir() / "compiled"))
    # Also the small programs around the large ones: a start compiles a hundred of them.
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)


def _print_table(header: tuple[str, str], rows: list[tuple[str, str]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(*header, box=None, pad_edge=False)
    for row in rows:
        table.add_row(*row)
    Console().print(table)


if __name__ == "__main__":
    sys.exit(main())
