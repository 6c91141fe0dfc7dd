"""The objects that a run has found: all as a table, the best, or the best that differ."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from wrlso.evaluation.components import ComponentValue
from wrlso.results.record import RunRecord
from wrlso.results.texts import texts_of
from wrlso.runs.log import Query, latent_of
from wrlso.runs.rows import PredictedScore
from wrlso.status import Status
from wrlso.tasks.base import Task

if TYPE_CHECKING:
    from pandas import DataFrame

TAKEN = frozenset(
    {
        "run", "task", "stated", "method", "hyper", "retrain_every", "epochs", "beta", "proposer",
        "seed", "round", "index", "query", "status", "score", "predicted", "predicted_sd",
        "reason", "object", "latent", "name", "smiles", "start", "start smiles", "start similarity",
    }
)  # fmt: skip
"""Columns of exports and tables that no component replaces."""

_COLUMNS = [
    "seed", "round", "index", "query", "status", "score", "predicted", "predicted_sd", "reason",
    "object", "latent",
]  # fmt: skip

_POOL = 5
"""Number of the best objects per object that is chosen, from which diverse ones are chosen."""


@dataclass(frozen=True, eq=False)
class FoundObject:
    """An object that a run has scored.

    Attributes:
      text: the object as a line of text, such as a SMILES; empty if it has none.
      score: the score.
      seed: the seed that found it first with this score.
      query: the name of the query within the seed, such as ``r0q7``.
      components: the components of the score; empty if the objective has none.
      latent: ``[d]`` float32.
      object: the object in the model's storage form, raw bytes.
    """

    text: str
    score: float
    seed: int
    query: str
    components: tuple[ComponentValue, ...]
    latent: np.ndarray
    object: bytes


def best_objects(
    record: RunRecord, n: int | None = 10, diverse: bool = False, task: Task | None = None
) -> list[FoundObject]:
    """The n different objects of the best scores over all seeds, the best first.

    Args:
      record: the run.
      n: number of objects; fewer if the run has found fewer. None: all.
      diverse: choose objects that differ: of the 5 n best, the best, and then again and again the
        one that is farthest from the nearest of those chosen. The distance of molecules is 1 minus
        the Tanimoto similarity of ECFP4 bits, that of other objects is that of their latents.
      task: the run's task, for the texts of objects of a task of your own.

    Raises:
      ValueError: if n is not positive.
    """
    if n is not None and n < 1:
        raise ValueError(f"n must be at least 1, got {n}")
    text_of = texts_of(record.folder.config, task)
    components = record.components()
    chosen = best_queries(record.queries(), record.folder.config.sign)
    if diverse and n is not None and len(chosen) > n:
        chosen = chosen[: _POOL * n]
        texts = [text_of(query) for query in chosen]
        chosen = [chosen[i] for i in sorted(spread(_distances(record, chosen, texts), n))]
    return [_found(query, text_of, components) for query in chosen[:n]]


def best_queries(queries: Iterable[Query], sign: float = 1.0) -> list[Query]:
    """The query with the best score of each object, the best first; of equals, the first.

    ``sign`` is 1, or -1 if lower scores are better.
    """
    scored = [q for q in queries if q.status == Status.OK and q.score is not None]
    scored.sort(key=lambda q: -sign * (q.score or 0.0))
    first: dict[bytes, Query] = {}
    for query in scored:
        first.setdefault(query.object, query)
    return list(first.values())


def spread(distances: np.ndarray, n: int) -> list[int]:
    """Choose n of N points: the first, then each time the one farthest from those chosen.

    Source: Ashton et al., Quant. Struct.-Act. Relat. 21, 598 (2002), "MaxMin".

    Args:
      distances: ``[N, N]`` between all pairs.
      n: number of points, at most N.

    Returns:
      Their indices, in the order of choice; of points that are equally far, the first.
    """
    chosen, to_chosen = [0], distances[0].copy()
    to_chosen[0] = -1.0
    while len(chosen) < n:
        chosen.append(int(to_chosen.argmax()))
        to_chosen = np.minimum(to_chosen, distances[chosen[-1]])
        to_chosen[chosen[-1]] = -1.0
    return chosen


def to_dataframe(record: RunRecord, task: Task | None = None) -> "DataFrame":
    """Every query of a run as a row, see :meth:`wrlso.Result.to_dataframe`."""
    try:
        from pandas import DataFrame
    except ImportError as error:
        raise ImportError("a table needs pandas: pip install pandas") from error
    text_of = texts_of(record.folder.config, task)
    components, predictions = record.components(), record.predictions()
    rows = []
    for query in record.queries():
        key = query.seed, query.round, query.index
        rows.append(
            {
                "seed": query.seed,
                "round": query.round,
                "index": query.index,
                "query": query_name(query),
                "status": query.status.name,
                "score": np.nan if query.score is None else query.score,
                **prediction_columns(predictions.get(key)),
                "reason": query.reason,
                "object": text_of(query),
                "latent": latent_of(query),
                **component_columns(components.get(key, ())),
            }
        )
    columns = None if rows else _COLUMNS
    return DataFrame(rows, columns=columns)


def prediction_columns(prediction: PredictedScore | None) -> dict[str, float]:
    """The expected score and its deviation, by column; NaN where no surrogate made them."""
    mean, deviation = prediction or (np.nan, np.nan)
    return {"predicted": mean, "predicted_sd": deviation}


def component_columns(components: tuple[ComponentValue, ...]) -> dict[str, float]:
    """The values of components by column; desirabilities have columns of their own.

    A component of the name of another column, such as score, is called "component score".
    """
    columns: dict[str, float] = {}
    for name, value, desirability in components:
        name = f"component {name}" if name in TAKEN else name
        columns[name] = np.nan if value is None else value
        if desirability is not None:
            columns[f"{name} desirability"] = desirability
    return columns


def query_name(query: Query) -> str:
    """The name of a query within its seed, such as ``r0q7``."""
    return f"r{query.round}q{query.index}"


def _found(
    query: Query,
    text_of: Callable[[Query], str],
    components: dict[tuple[int, int, int], tuple[ComponentValue, ...]],
) -> FoundObject:
    assert query.score is not None
    return FoundObject(
        text=text_of(query),
        score=query.score,
        seed=query.seed,
        query=query_name(query),
        components=components.get((query.seed, query.round, query.index), ()),
        latent=latent_of(query),
        object=query.object,
    )


def _distances(record: RunRecord, queries: list[Query], texts: list[str]) -> np.ndarray:
    if record.folder.config.task == "molecules" and all(texts):
        from wrlso.chem.export import distances

        return distances(texts)
    latents: Any = np.stack([latent_of(query) for query in queries]).astype(float)
    return np.linalg.norm(latents[:, None] - latents[None], axis=-1)
