"""Export of all queries of some runs to one CSV file."""

import csv
import json
from collections.abc import Sequence
from pathlib import Path

from wrlso.results.record import RunRecord, task_of
from wrlso.results.summary import describer
from wrlso.runs.log import latent_of

_COLUMNS = (
    "run", "task", "stated", "method", "hyper", "retrain_every", "epochs", "beta", "proposer",
    "seed", "round", "index", "score", "status", "reason", "object", "latent",
)  # fmt: skip


def write_csv(results: Sequence[RunRecord], path: Path) -> None:
    """Write one row per query; the score is empty if the query failed or was not evaluated.

    Objects are written as text if the run's task is built in and has such a form.
    """
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(_COLUMNS)
        for result in results:
            config, summary = result.folder.config, result.summary
            run_columns = (
                result.folder.path.name, config.task, json.dumps(summary.get("stated", {})),
                config.method, json.dumps(summary["hyper"]), config.retrain_every or "",
                "" if config.epochs is None else config.epochs,
                "" if config.beta is None else config.beta, config.proposer,
            )  # fmt: skip
            try:
                describe = describer(task_of(config))
            except ValueError:  # the task is the user's own
                describe = None
            for query in result.queries():
                score = "" if query.score is None else f"{query.score:.9g}"
                latent = json.dumps([round(float(z), 5) for z in latent_of(query)])
                writer.writerow(
                    (*run_columns, query.seed, query.round, query.index, score, query.status.name,
                     query.reason or "", describe(query) if describe else "", latent)
                )  # fmt: skip
