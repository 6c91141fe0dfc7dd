"""The objects that each seed knows already, by their bytes."""

import numpy as np

from wrlso.data import NO_SCORE, Dataset, History
from wrlso.scores import warn_of_merged
from wrlso.status import Status


class ScoredObjects:
    """The objects that the base data and each seed's history hold, and their scores: -inf for a
    failure, and for an object that is being measured.

    Scores are what the loop maximises, in float64. Those of a history are less ``offset``.

    Attributes:
      offset: as given.
      verdicts: the accept test's answers so far: None, or the reason for which it refused the
        object.
    """

    def __init__(self, base: Dataset, history: History, seeds: int, offset: float = 0.0) -> None:
        self.offset, self._warned = offset, False
        self.base = {name_of(x): float(s) for x, s in zip(*map(np.asarray, base), strict=True)}
        self.verdicts: dict[bytes, str | None] = {}
        self.own: list[dict[bytes, float]] = []
        self.failed: set[tuple[int, bytes]] = set()
        for lane in range(seeds):
            n = int(history.used[lane])
            objects, scores = history.objects[lane][:n], history.scores[lane][:n]
            named = zip(np.asarray(objects), np.asarray(scores), strict=True)
            self.own.append({name_of(x): float(s) + offset for x, s in named})
            done = np.asarray(history.status[lane][:n]) != Status.PENDING
            lost = np.asarray(objects)[done & ~np.isfinite(np.asarray(scores))]
            self.failed.update((lane, name_of(x)) for x in lost)

    def find(self, lane: int, thing: np.ndarray) -> float | None:
        """Its score, -inf where there is none, or None if the object is new."""
        name = name_of(thing)
        return self.own[lane].get(name, self.base.get(name))

    def has_failed(self, lane: int, thing: np.ndarray) -> bool:
        """Whether the object was evaluated and has no score."""
        return (lane, name_of(thing)) in self.failed

    def add(self, lane: int, thing: np.ndarray, score: float, pending: bool = False) -> None:
        """Remember the score of an object, -inf for a failure or while it is being measured."""
        name = name_of(thing)
        self.own[lane][name] = score
        if score == NO_SCORE and not pending:
            self.failed.add((lane, name))
        else:
            self.failed.discard((lane, name))

    def warn_of_merged(self) -> None:
        """Warn, once, if queries whose scores differ are equal to compiled programs."""
        for own in self.own:
            scores = np.array(list(own.values()))
            if not self._warned and warn_of_merged(scores, self.offset, "the queries"):
                self._warned = True


def name_of(thing: np.ndarray) -> bytes:
    """An object's bytes without the padding at their end."""
    return np.ascontiguousarray(thing).tobytes().rstrip(b"\0")
