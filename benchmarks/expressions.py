"""The expressions task: the four corners of the ablation, k = 0.1, and the paper's model.

    python -m benchmarks.expressions --data FILE    the paper's 100,000 expressions
    python -m benchmarks.expressions                expressions sampled from the grammar

See benchmarks.experiments for where runs and results go.
"""

import argparse
import shutil
from collections.abc import Iterator, Mapping
from typing import Any

from benchmarks.experiments import RESULTS, Entry, Presentation, parse_options, run_all
from wrlso import methods
from wrlso.parallel import request_cpu_devices


def entries(options: Mapping[str, Any]) -> Iterator[Entry]:
    headline = methods.weighted_retraining(1e-3, 50)
    for name, method in (
        ("weighted retraining, k = 1e-3, r = 50", headline),
        ("LSO", methods.lso()),
        ("weight only, k = 1e-3", methods.weight_only(1e-3)),
        ("retrain only, r = 50", methods.retrain_only(50)),
        ("weighted retraining, k = 0.1, r = 50", methods.weighted_retraining(1e-1, 50)),
    ):
        yield Entry(name, method, "feedback", options)
    paper = {**options, "architecture": "paper", "decoding": "majority", "distinct": "spelling"}
    yield Entry("weighted retraining, k = 1e-3, r = 50", headline, "paper", paper, details=False)


def _more(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", help="a file of expressions, one a line, plain or gzipped")


def main() -> None:
    options = parse_options(__doc__, "expressions", 10, _more)
    request_cpu_devices(options.seeds)
    task_options = {} if options.data is None else {"data": options.data}
    sampled = "" if options.data else "-sampled"
    rows = run_all(
        "expressions",
        list(entries(task_options)),
        options,
        f"expressions{sampled}",
        "Expressions, target 1/3 + x + sin(x * x), "
        + ("the paper's data" if options.data else "data sampled from the grammar"),
        "python -m benchmarks.expressions" + " --data FILE" * bool(options.data),
        Presentation(sign=-1, name="log(1 + MSE)", digits=3, variant="model"),
    )
    if not options.only:
        for path in rows[0][1].plot():
            if path.stem in ("best_so_far", "prior_samples", "weights"):
                name = f"expressions{sampled}-{path.stem.replace('_', '-')}.png"
                shutil.copy(path, RESULTS / name)


if __name__ == "__main__":
    main()
