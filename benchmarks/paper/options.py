"""The options of ``python -m benchmarks.paper``, and the names and commands that follow."""

import argparse
from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.paper.grid import TASKS

RESULTS = Path(__file__).parent.parent / "results"

Model = Mapping[str, Any]
"""Arguments of a task's factory that choose another model than the default."""

_PAPER_MODEL: Mapping[str, Mapping[str, str]] = {
    "shapes": {"architecture": "paper"},
    "expressions": {"architecture": "paper", "decoding": "majority", "distinct": "spelling"},
}
_LIMITS = ("max-heavy-atoms",)


def parse_options(description: str | None) -> Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawTextHelpFormatter
    )
    _add_scale(parser)
    _add_tasks(parser)
    parser.add_argument("--published", type=Path, help="the authors' runs, a CSV file")
    parser.add_argument("--runs", type=Path, help="folder of the runs (runs/paper)")
    parser.add_argument("--results", type=Path, help="folder of the results (benchmarks/results)")
    options = parser.parse_args()
    options.runs = options.runs or Path("runs/paper-quick" if options.quick else "runs/paper")
    options.results = options.results or (options.runs / "results" if options.quick else RESULTS)
    return options


def _add_scale(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--task", choices=TASKS, help="one task (default: all)")
    parser.add_argument("--quick", action="store_true", help="tiny budgets, 2 seeds")
    parser.add_argument(
        "--full",
        action="store_true",
        help="molecules: the whole grid, which takes days\n"
        "(default: the corners, k = 0.1 and one configuration of each baseline)",
    )
    parser.add_argument(
        "--further",
        action="store_true",
        help="shapes: also the rows beyond the paper's grid, r = 5, LSO with bo\n"
        "and the proposers that follow gradients",
    )
    parser.add_argument("--tables", action="store_true", help="write the results, run nothing")
    parser.add_argument("--only", nargs="+", help="rows whose name contains one of these words")
    parser.add_argument(
        "--seeds",
        type=int,
        help="number of seeds of every method (default: 5; baselines on molecules 3)",
    )


def _add_tasks(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--pretrain-seeds",
        type=int,
        nargs="+",
        help="shapes, expressions: seeds of the pretraining, one model and one set\n"
        "of results per seed (default: the parameters of the package)",
    )
    parser.add_argument(
        "--paper-model",
        action="store_true",
        help="shapes, expressions: the paper's architecture, which takes hours on shapes",
    )
    file = "a file of {} (default: sampled)".format
    parser.add_argument("--expressions-data", type=Path, help=file("expressions"))
    parser.add_argument("--molecules-data", type=Path, help=file("molecules, such as ZINC250k"))
    parser.add_argument(
        "--molecules-model", type=Path, help="a trained model (default: that of the package)"
    )
    parser.add_argument(
        "--max-heavy-atoms", type=int, default=38, help="maximum number of a molecule's heavy atoms"
    )
    parser.add_argument(
        "--half-products",
        action="store_true",
        help="molecules: retrain in bfloat16, which is faster\nif the processor has such products",
    )


def models_of(name: str, options: Namespace) -> list[Model]:
    """The models of a task that were asked for; the default model is an empty mapping."""
    if name == "molecules":
        return [{}]
    model = _PAPER_MODEL[name] if options.paper_model else {}
    seeds = options.pretrain_seeds
    return [model] if seeds is None else [{**model, "pretrain_seed": seed} for seed in seeds]


def label_of(name: str, model: Model, options: Namespace) -> str:
    """The name of a task in files. Another size limit or another model makes another task."""
    if name == "molecules":
        return f"molecules-{options.max_heavy_atoms}-atoms"
    architecture = "-paper-model" if "architecture" in model else ""
    seed = f"-model-{model['pretrain_seed']}" if model.get("pretrain_seed") else ""
    return name + architecture + seed


def task_options(name: str, model: Model, options: Namespace) -> dict[str, Any]:
    """Arguments of the task's factory."""
    chosen = {key.split("_")[-1]: str(getattr(options, key)) for key in _files(name, options)}
    if name == "molecules":
        keys = ("max_heavy_atoms", "half_products")
        chosen |= {key: getattr(options, key) for key in keys}
    return chosen | dict(model)


def command(name: str, model: Model, options: Namespace) -> str:
    """The command that makes these results, with the names of files left out."""
    words = ["python -m benchmarks.paper", f"--task {name}"]
    words += [f"--{key.replace('_', '-')} FILE" for key in _files(name, options)]
    if name == "molecules":
        words += [f"--{key} {getattr(options, key.replace('-', '_'))}" for key in _LIMITS]
        words += ["--half-products"] if options.half_products else []
    words += ["--paper-model"] if "architecture" in model else []
    words += [f"--pretrain-seeds {model['pretrain_seed']}"] if "pretrain_seed" in model else []
    words += [f"--{flag}" for flag in ("quick", "full", "further") if getattr(options, flag)]
    words += [f"--seeds {options.seeds}"] if options.seeds else []
    words += ["--published FILE"] if options.published else []
    return " ".join(words)


def _files(name: str, options: Namespace) -> list[str]:
    """The options that name files of a task."""
    keys = [f"{name}_data", f"{name}_model"]
    return [key for key in keys if getattr(options, key, None) is not None]
