"""A run whose objects are measured by people: it stands still between ``ask`` and ``tell``.

The log holds every candidate as a PENDING query until its result is told. The state, the surrogate
and the last batch are kept in ``checkpoints/asked.safetensors`` after each ask. Results enter the
state at the next ask, in the order in which their objects were asked for. The run therefore depends
on the results that were known at each ask, and not on the order in which they came.
"""

import dataclasses
import json
import uuid
from typing import Any

import jax
import numpy as np

from wrlso.evaluation.objective import HostEvaluator
from wrlso.loop.candidates import Candidates
from wrlso.parallel import spread
from wrlso.proposers.base import Prediction
from wrlso.runs import checkpoints
from wrlso.runs.evaluate import BatchPosition, ScoredObjects, publish, read_from_log
from wrlso.runs.folder import RunFolder
from wrlso.runs.growing import capacity_of, enlarged, stored_capacity, with_capacity_of
from wrlso.runs.log import REMEDY, Query, Round
from wrlso.runs.session import EXTRA_ROUNDS, FITS, Session
from wrlso.status import Status
from wrlso.storage.sealed import DamagedFile
from wrlso.storage.tensors import StoredTree, save_tree

_LOST = "restore it, as the candidates that were asked for follow from it"


@dataclasses.dataclass
class Position:
    """The place of a run between two asks.

    Attributes:
      round: number of the round.
      begun: whether the model was retrained and a surrogate fitted.
      start: number of charged queries at the beginning of the round.
      end: maximum number of charged queries at the end of the round.
      fit: number of the fit within the round.
      tries: number of fits of the round that count towards its maximum.
      before: number of charged queries before the fit.
      offered: number of places in the batches of the fit.
      ask: number of the next ask within the round.
      asks: number of asks of the round so far.
      outstanding: whether the last batch has not entered the state.
      refit: whether the surrogate must be fitted anew, as its data have changed.
      elsewhere: number of measurements made elsewhere that the base data hold.
      refused: number of objects of the round that the accept test refused.
      measures: what the fits measured, by name.
      retrained: the round's row for the log.
      saved: names the time at which the position was saved.
    """

    round: int
    begun: bool = False
    start: int = 0
    end: int = 0
    fit: int = 0
    tries: int = 1
    before: int = 0
    offered: int = 0
    ask: int = 0
    asks: int = 0
    outstanding: bool = False
    refit: bool = False
    elsewhere: int = 0
    refused: int = 0
    measures: dict[str, float] = dataclasses.field(default_factory=dict)
    retrained: dict[str, Any] | None = None
    saved: str = ""


class AskTell:
    """One seed's run, driven by asks.

    Args:
      session: of one run with one seed, which keeps its log (``keep_log``).
      elsewhere: number of measurements made elsewhere that the session's base data hold.
    """

    def __init__(self, session: Session, elsewhere: int) -> None:
        self.session = session
        self.folder, self.log = session.runs[0].folder, session.logs[0]
        self.candidates: Candidates | None = None
        self.position = Position(session.round, elsewhere=elsewhere)
        self.saved = ""
        self._load()
        self._check()
        self.evaluator: HostEvaluator | None = session.evaluator
        history = jax.tree.map(np.asarray, session.state.history)
        self.scored = ScoredObjects(session.base, history, 1, session.offset)
        if self.position.outstanding:
            self._publish()  # the process may have been killed before it had done so

    @property
    def used(self) -> int:
        """Number of charged queries, pending ones included, but for the last batch."""
        return int(self.session.counts[0])

    def ask(self, n: int | None = None) -> list[Query]:
        """New candidates: n of them, or the next batch; fewer at the end of the budget."""
        found: list[Query] = []
        while not found if n is None else len(found) < n:
            self.absorb()
            if not self._ready():
                break
            found += self._ask(None if n is None else n - len(found))
        return found

    def absorb(self) -> None:
        """Let all results that were told enter the state."""
        self._settle()
        if not self.position.outstanding:
            return
        session, at = self.session, self.position
        assert self.candidates is not None
        if at.refit:  # the file of a run that has grown holds no surrogate
            self._fit_surrogate()
        place, key = self._place(), session.task.dedup_key
        session.tell(read_from_log(place, self.candidates, self.scored, key))
        at.outstanding, self.candidates = False, None

    def take_in(self, elsewhere: int) -> None:
        """Keep a state to which measurements made elsewhere can be added: ``elsewhere`` in all."""
        self.absorb()
        self.position.elsewhere, self.position.refit = elsewhere, self.position.begun
        self.save()

    def save(self) -> None:
        """Keep the state, the surrogate and the last batch."""
        self.position.saved = uuid.uuid4().hex
        session, at = self.session, self.position
        at.refused = int(session.refused[0])
        at.measures = {name: float(values[0]) for name, values in session.measures.items()}
        surrogate = session.surrogate if at.begun and not at.refit else ()
        parts = (session.state, surrogate, self.candidates)
        metadata = self.folder.about("asked") | {"position": json.dumps(dataclasses.asdict(at))}
        save_tree(self.folder.asked_file, jax.tree.map(np.asarray, parts), metadata)
        self.saved = at.saved

    def close(self) -> None:
        """Let go of all arrays and programs, and end the worker processes."""
        if self.evaluator is not None:
            self.evaluator.__exit__()
        self.session.close()

    def finish(self) -> None:
        """End the last round and write its checkpoint, with all results."""
        self.absorb()
        self._ready()
        checkpoints.save(
            self.session.runs, self.session.round, self.session.state, self.session.kept
        )
        self.folder.asked_file.unlink(missing_ok=True)

    def _load(self) -> None:
        """Continue where the last ask ended, if it belongs to the present round."""
        file = stored_asked(self.folder)
        stored = None if file is None else position_of(file)
        if stored is not None and stored.round > self.session.round:
            lost = self.folder.checkpoint_file(stored.round)
            raise DamagedFile(lost, f"it is missing, and {self.folder.asked_file} follows", _LOST)
        if file is None or stored is None or stored.round != self.session.round:
            return
        session = self.session
        capacity = stored_capacity(file, "0/history/status")
        algorithm = session.algorithm
        if stored.begun:  # the budget may have grown
            stored.end = min(stored.start + algorithm.retrain_every, algorithm.budget)
        full = capacity < stored.end  # an earlier version gave it the capacity of its budget
        self.position, self.saved = stored, stored.saved
        session.refused = np.array([stored.refused])
        session.measures = {name: np.array([value]) for name, value in stored.measures.items()}
        session.limits = [stored.end]
        whole = with_capacity_of(
            jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype), session.state), capacity
        )
        surrogate: Any = ()
        if stored.begun and not stored.refit and not full:
            surrogate = jax.tree.map(
                lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype), session.surrogate_like(whole)
            )
        batch = None
        if stored.outstanding:
            batch = jax.tree.map(
                lambda a: jax.ShapeDtypeStruct((1, *a.shape), a.dtype), session.answer_like[0]
            )
        state, surrogate, batch = file.tree((whole, surrogate, batch))
        if full:
            room = with_capacity_of(whole, capacity_of(algorithm, stored.round))
            state, stored.refit = enlarged(state, room), stored.begun
        session.state = spread(session.plan, state)
        session.surrogate, self.candidates = spread(session.plan, surrogate), batch

    def _check(self) -> None:
        """Refuse a log, or a state of the last ask, that lacks what the other has."""
        run, at, file = self.session.runs[0], self.position, self.folder.asked_file
        asked = at.ask * self.session.algorithm.proposer.batch if self.saved else 0
        told = self.log.told()
        for query in self.log.queries():
            place = (query.seed, query.round, query.index)
            by_people = query.status == Status.PENDING or place in told
            if by_people and (query.round, query.index) >= (at.round, asked):
                why = "it is older than queries.sqlite" if file.exists() else "it is missing"
                raise DamagedFile(file, f"{why}, which has {query.id}", _LOST)
        if len(self.log.elsewhere()) < at.elsewhere:
            why = f"it lacks measurements made elsewhere that {file} counts on"
            raise DamagedFile(self.log.path, why, REMEDY)
        if self.saved:
            history = jax.tree.map(np.asarray, self.session.state.history)
            checkpoints.check_log(run, history, file)

    def _settle(self) -> None:
        """Give rows of the history the outcomes that the log has, where they differ."""
        session, at = self.session, self.position
        history = jax.tree.map(lambda a: np.array(a[0]), session.state.history)
        rows, corrected = checkpoints.outcomes(
            self.log, session.seeds[0], history, session.task.sign, session.offset
        )
        if not rows.rows.any():
            return
        at.refit |= corrected and at.begun
        settlement = jax.tree.map(lambda a: a[None], rows)
        if at.begun and not at.refit:
            carried = (session.state, session.surrogate)
            shared = session.lanes.shared_inputs(at.round, 0)
            placed = spread(session.plan, settlement)
            session.state, session.surrogate = session.compiled.settle(carried, placed, shared)
        else:
            session.state = checkpoints.settled(session.plan, session.state, settlement)
        for row in np.flatnonzero(rows.rows):
            pending = rows.status[row] == Status.PENDING
            score = float(rows.scores[row]) + session.offset
            self.scored.add(0, history.objects[row], score, bool(pending))

    def _ready(self) -> bool:
        """Get ready for an ask: end a round, retrain, fit. False at the end of the run."""
        algorithm = self.session.algorithm
        while True:
            at = self.position
            if not at.begun:
                over = at.round >= algorithm.rounds * EXTRA_ROUNDS
                if over or self.used >= algorithm.budget:
                    return False
                self._begin()
            elif at.refit and self.used < at.end:
                self._fit(at.tries)
            elif self.used < at.end and at.offered < algorithm.asks * algorithm.proposer.batch:
                return True
            elif self.used >= at.end or self.used == at.before or at.tries == FITS:
                self._end()
            else:
                self._fit(at.tries + 1)

    def _begin(self) -> None:
        session, at = self.session, self.position
        at.start = self.used
        at.end = min(at.start + session.algorithm.retrain_every, session.algorithm.budget)
        session.limits = [at.end]
        session.refused, session.measures = np.zeros(1, int), {}
        (row,) = session.retrain()
        at.retrained = dataclasses.asdict(row) if row is not None else None
        at.begun, at.fit = True, -1
        self._fit(1)

    def _fit(self, tries: int) -> None:
        session, at = self.session, self.position
        at.fit, at.tries, at.refit = at.fit + 1, tries, False
        at.before, at.offered = self.used, 0
        at.ask = max(at.ask, at.fit * session.algorithm.asks)
        session.counts_before = session.counts
        self._fit_surrogate()
        session.measure_fit()

    def _fit_surrogate(self) -> None:
        self.session.limits = [self.position.end]
        self.session.fit_surrogate(self.position.fit)

    def _end(self) -> None:
        session, at = self.session, self.position
        row = None if at.retrained is None else Round(**at.retrained)
        session.end_round(session.record_rounds([row], np.array([at.asks])))
        self.position = Position(session.round, elsewhere=at.elsewhere, saved=at.saved)

    def _ask(self, most: int | None) -> list[Query]:
        session, at = self.session, self.position
        batch = session.algorithm.proposer.batch
        places = batch if most is None else min(batch, most)
        limit = at.end if places == batch else min(at.end, self.used + places)
        session.limits = [limit]
        is_open = (np.asarray(session.state.history.status[0]) == Status.PENDING).any()
        self.candidates = session.ask(at.ask, session.fantasies() if is_open else None)
        session.refused = session.refused + self.candidates.refused[:1]
        at.ask, at.asks, at.offered = at.ask + 1, at.asks + 1, at.offered + places
        at.outstanding = True
        self.save()
        return self._publish()

    def _publish(self) -> list[Query]:
        assert self.candidates is not None
        # The file of a run that has grown holds no surrogate.
        expected = None if self.position.refit else self.session.predict(self.candidates)
        return publish(self.evaluator, self._place(expected), self.candidates, self.scored)

    def _place(self, prediction: Prediction | None = None) -> BatchPosition:
        """The place of the last batch."""
        session, at = self.session, self.position
        first = (at.ask - 1) * session.algorithm.proposer.batch
        return session.position(first, prediction)


def stored_asked(folder: RunFolder) -> StoredTree | None:
    """The file that the last ask wrote; None if there is no such file.

    Raises:
      DamagedFile: if it is not as it was written, or is another run's.
    """
    if not folder.asked_file.exists():
        return None
    return folder.read_tensors(folder.asked_file, _LOST, folder.about("asked"))


def stored_position(folder: RunFolder) -> Position | None:
    """The position after the last ask; None if there is no file of it."""
    asked = stored_asked(folder)
    return None if asked is None else position_of(asked)


def position_of(stored: StoredTree) -> Position:
    """The position that a file of an ask holds.

    Raises:
      ValueError: if it holds none.
    """
    try:
        return Position(**json.loads(stored.metadata["position"]))
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{stored.path} holds no position of a run ({error})") from error
