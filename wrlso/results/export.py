"""Export of all queries of some runs to one CSV file."""

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path

from wrlso.results.best import component_columns
from wrlso.results.record import RunRecord
from wrlso.results.texts import texts_of
from wrlso.runs.log import latent_of
from wrlso.runs.outputs import check_output, files_named
from wrlso.storage.files import write_text
from wrlso.storage.numbers import exact

_COLUMNS = (
    "run", "task", "stated", "method", "hyper", "retrain_every", "epochs", "beta", "proposer",
    "seed", "round", "index", "score", "predicted", "predicted_sd", "status", "reason", "object",
    "latent",
)  # fmt: skip


def write_csv(results: Sequence[RunRecord], path: Path) -> None:
    """Write one row per query; the score is empty if the query failed or was not evaluated, and
    what the surrogate predicted is empty where there is none.

    Objects are written as text where the log or a built-in task knows it. The components of scores
    follow, each in a column of its own.

    Raises:
      ValueError: if the file is a folder, an input of a run, or a file of a run.
    """
    inputs = [one for r in results for one in files_named(r.folder.config.task_options)]
    check_output(path, inputs)
    components = [result.components() for result in results]
    names = dict.fromkeys(
        name
        for found in components
        for parts in found.values()
        for name in component_columns(parts)
    )
    with io.StringIO(newline="") as file:
        writer = csv.writer(file)
        writer.writerow((*_COLUMNS, *names))
        for result, found in zip(results, components, strict=True):
            config, summary = result.folder.config, result.summary
            run_columns = (
                result.folder.path.name, config.task, json.dumps(summary.get("stated", {})),
                config.method, json.dumps(summary["hyper"]), config.retrain_every or "",
                "" if config.epochs is None else config.epochs,
                "" if config.beta is None else config.beta, config.proposer,
            )  # fmt: skip
            text_of, predictions = texts_of(config), result.predictions()
            for query in result.queries():
                score = "" if query.score is None else exact(query.score)
                latent = json.dumps([round(float(z), 5) for z in latent_of(query)])
                key = query.seed, query.round, query.index
                parts = component_columns(found.get(key, ()))
                expected = map(exact, predictions[key]) if key in predictions else ("", "")
                writer.writerow(
                    (*run_columns, *key, score, *expected, query.status.name, query.reason or "",
                     text_of(query), latent, *(parts.get(name, "") for name in names))
                )  # fmt: skip
        write_text(path, file.getvalue())
