"""Every query of some runs as one CSV file."""

import csv
import json
from collections.abc import Sequence
from pathlib import Path

from wrlso.runs.log import latent_of
from wrlso.runs.result import Result

_COLUMNS = (
    "task", "method", "k", "retrain_every", "proposer", "seed", "round", "index",
    "score", "status", "latent",
)  # fmt: skip


def write_csv(results: Sequence[Result], path: Path) -> None:
    """Write a row a query; an empty score is a query that failed or was not evaluated."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(_COLUMNS)
        for result in results:
            config = result.folder.config
            method = (config.task, config.method, config.hyper.get("k", ""))
            for query in result.queries():
                score = "" if query.score is None else f"{query.score:.9g}"
                latent = json.dumps([round(float(z), 5) for z in latent_of(query)])
                writer.writerow(
                    (*method, config.retrain_every or "", config.proposer, query.seed,
                     query.round, query.index, score, query.status.name, latent)
                )  # fmt: skip
