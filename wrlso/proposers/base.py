"""The form of a proposer: pure functions that choose the next latent points.

A proposer ranks a pool of latent points. The loop takes from its top the points whose objects are
new, so a proposer need not know which objects were scored.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from jax import Array
from jax.typing import ArrayLike

from wrlso.data import Dataset, History
from wrlso.scores.checks import check_function, keep_whole


class Pool(NamedTuple):
    """Points in order of preference.

    Attributes:
      latents: ``[P, d]``.
      objects: ``[P, ...]``, their decodes. None: the loop decodes the first
        ``Proposer.decode_first`` points, and the others only where too few of these are new.
    """

    latents: Array
    objects: Array | None = None


class View(NamedTuple):
    """All that a proposer may look at: the current model and the data scored so far.

    Attributes:
      params: the model's parameters.
      history: the seed's queries.
      base: the base data.
      distinct: ``[N]``, false for a base object that is in an earlier row, too.
      offset: ``[]``; scores in base data and history are the task's less this number.
    """

    params: Any
    history: History
    base: Dataset
    distinct: Array
    offset: ArrayLike = 0.0


class Observations(NamedTuple):
    """Points and what is known of them.

    Attributes:
      latents: ``[q, d]``.
      scores: ``[q]``, -inf where there is none: a failure, a refused object, or a place that the
        budget did not cover.
      failed: ``[q]``, true for a failure.
      refused: ``[q]``, true for an object that the task's ``accept`` test refused.
    """

    latents: Array
    scores: Array
    failed: Array
    refused: Array


class Prediction(NamedTuple):
    """The scores that a surrogate expects at q points, less the offset of the scores.

    Attributes:
      mean: ``[q]``.
      deviation: ``[q]``, the standard deviation of a score that would be observed there.
    """

    mean: Array
    deviation: Array


def _no_surrogate(key: Array, view: View, memory: Any) -> tuple[Any, Any]:
    return memory, ()


def _nothing_measured(surrogate: Any) -> Mapping[str, Array]:
    return {}


def _learns_nothing(surrogate: Any, observations: Observations) -> Any:
    return surrogate


def _imagines_nothing(surrogate: Any, latents: Array, pending: Array) -> Any:
    return surrogate


@dataclass(frozen=True, eq=False)
class Proposer:
    """A way to choose latent points: pure functions, and static facts about them.

    Attributes:
      name: as on the command line (``--proposer``) and in records.
      propose: ``(key, View, surrogate) -> Pool``.
      batch: q, the queries taken from each pool, which holds at least as many.
      uncharged: objective evaluations per pool that the budget does not pay for. Zero for an honest
        method; shown beside its results.
      fit: ``(key, View, memory) -> (memory, surrogate)``, called after each retraining. The
        ``memory`` lasts from one round to the next and enters checkpoints, the surrogate lasts for
        a round; both are any pytrees of arrays. A new memory has the structure, shapes and types of
        the one before.
      observe: ``(surrogate, Observations) -> surrogate``, called after each batch. The structure,
        shapes and types stay.
      fantasize: ``(surrogate, latents [C, d], pending [C]) -> surrogate``, called before a proposal
        while objects are being measured; see :func:`wrlso.loop.fantasize_pending`.
      decode_first: number of points of a pool without objects that are decoded first, at least
        ``batch`` and ``max_duplicates``; 0: all.
      max_duplicates: maximum number of points per pool with known objects that are observed with
        the batch. They cost nothing, and would otherwise be proposed again and again.
      memory: the memory before the first fit.
      measures: function from a surrogate, as it was fitted, to numbers ``[]`` by name that are
        logged with the round, -inf for none: ``fit_r2`` and ``fit_spearman``.
      settings: a dataclass or mapping of the proposer's own settings, for the run's record.
      predict: ``(surrogate, latents [q, d]) -> Prediction``, for the record only: it is logged
        beside each query, and changes none. None: the proposer has no such surrogate.

    Raises:
      TypeError: for a function that is none.
      ValueError: for a ``batch`` below 1, another number below 0, and one that is not whole.
    """

    name: str
    propose: Callable[[Array, View, Any], Pool]
    batch: int
    uncharged: int = 0
    fit: Callable[[Array, View, Any], tuple[Any, Any]] = _no_surrogate
    observe: Callable[[Any, Observations], Any] = _learns_nothing
    fantasize: Callable[[Any, Array, Array], Any] = _imagines_nothing
    decode_first: int = 0
    max_duplicates: int = 0
    memory: Any = ()
    settings: Any = None
    measures: Callable[[Any], Mapping[str, Array]] = _nothing_measured
    predict: Callable[[Any, Array], Prediction] | None = None

    def __post_init__(self) -> None:
        least = {"batch": 1, "uncharged": 0, "decode_first": 0, "max_duplicates": 0}
        keep_whole(self, least, of=" of a proposer")
        for name in ("propose", "fit", "observe", "fantasize", "measures", "predict"):
            if name != "predict" or self.predict is not None:
                check_function(f"{name} of a proposer", getattr(self, name))
