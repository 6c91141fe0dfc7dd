"""The loop's functions for all seeds of a run, each compiled exactly once."""

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from wrlso import loop
from wrlso.data import NO_SCORE, History
from wrlso.loop.algorithm import Algorithm, State
from wrlso.loop.candidates import BaseData, Candidates, Evaluation, no_candidates
from wrlso.loop.retraining import RetrainInfo
from wrlso.objective import Objective
from wrlso.parallel import SeedPlan, over_seeds
from wrlso.runs.lanes import SeedInputs, SharedInputs
from wrlso.runs.packing import pack, unpack
from wrlso.status import Status

Clock = Callable[[str, float], None]
"""Called with a phase and the seconds that it took."""

Say = Callable[[str], None]
"""Called with a few words for the progress bar."""


class CompiledOnce:
    """A function that is compiled at its first call, and never again.

    A later call with other shapes or types is an error, not another compilation. "Compiles once
    per run" therefore holds by construction.
    """

    def __init__(
        self,
        name: str,
        function: Callable[..., Any],
        clock: Clock,
        donate: bool,
        say: Say = lambda _: None,
    ) -> None:
        self.name = name
        self.compilations = 0
        self._jitted = jax.jit(function, donate_argnums=(0,) if donate else ())
        self._clock, self._say = clock, say
        self._compiled: Any = None

    def __call__(self, *args: Any) -> Any:
        if self._compiled is None:
            self._say(f"compiling {self.name}")
            start = time.perf_counter()
            self._compiled = self._jitted.lower(*args).compile()
            self.compilations += 1
            self._clock("compile", time.perf_counter() - start)
            self._say(self.name)
        start = time.perf_counter()
        out = jax.block_until_ready(self._compiled(*args))
        self._clock(self.name, time.perf_counter() - start)
        return out


class Batches(NamedTuple):
    """All batches of one search, in the order of the asks.

    Attributes:
      latents: ``[asks, q, d]``.
      objects: ``[asks, q, ...]``.
      status: ``[asks, q]``, UNUSED beyond the asks that were made.
      scores: ``[asks, q]``, -inf where there is none.
      refused: ``[asks]``, the number of points passed over, as the task does not accept them.
      asked: ``[]``, the number of asks that were made.
      measures: ``[]`` each, see ``Proposer.measures``.
    """

    latents: Any
    objects: Any
    status: Any
    scores: Any
    refused: Any
    asked: Any
    measures: Any


class CompiledLoop:
    """The loop's functions over the lanes of a plan.

    With an objective in JAX a round is two programs: ``retrain``, and ``search``, which fits, asks,
    scores and tells until the seed's limit is reached. With an objective on the host,
    ``fit`` is a program of its own, and so is ``ask``, which first tells the last answers; ``tell``
    tells those of a search's last ask. Each takes and gives one array of bytes.
    """

    def __init__(
        self,
        algorithm: Algorithm,
        objective: Objective | None,
        plan: SeedPlan,
        clock: Clock,
        say: Say = lambda _: None,
    ) -> None:
        def lift(name: str, function: Callable[..., Any], donate: bool = False) -> CompiledOnce:
            lanes = over_seeds(lambda lane, shared: function(*lane, shared), plan)

            def call(first: Any, rest: Any, shared: Any) -> Any:
                return lanes((first, rest), shared)

            return CompiledOnce(name, call, clock, donate, say)

        self.retrain = lift("retrain", _retrain(algorithm), donate=True)
        self.search = None
        if objective is not None:
            self.search = lift("search", _search(algorithm, objective), donate=True)
        self.fit = lift("fit", _fit(algorithm), donate=True)
        self.ask = lift("ask", _ask(algorithm), donate=True)
        self.tell = lift("tell", _tell(algorithm), donate=True)

    @property
    def compilations(self) -> dict[str, int]:
        """Number of compilations of each function that was used: one each."""
        functions = (self.retrain, self.search, self.fit, self.ask, self.tell)
        return {f.name: f.compilations for f in functions if f is not None and f.compilations}


def _retrain(algorithm: Algorithm) -> Callable[..., tuple[State, RetrainInfo]]:
    def retrain(
        state: State, inputs: SeedInputs, shared: SharedInputs
    ) -> tuple[State, RetrainInfo]:
        key = loop.query_key(inputs.seed, shared.round, loop.RETRAIN)
        return loop.retrain(algorithm, key, state, shared.base, inputs.steps, inputs.hyper)

    return retrain


def _fit(algorithm: Algorithm) -> Callable[..., tuple[State, Any]]:
    @jax.jit
    def fit_seed(state: State, seed: Any, shared: SharedInputs) -> tuple[State, Any]:
        key = loop.query_key(seed, shared.round, loop.FIT - shared.ask)
        return loop.fit(algorithm, key, state, shared.base)

    def fit(state: State, inputs: SeedInputs, shared: SharedInputs) -> tuple[State, Any]:
        # A seed that may ask for nothing needs no surrogate.
        _, like = jax.eval_shape(fit_seed, state, inputs.seed, shared)
        return lax.cond(
            state.history.used < inputs.limit,
            lambda: fit_seed(state, inputs.seed, shared),
            lambda: (state, jax.tree.map(lambda a: jnp.zeros(a.shape, a.dtype), like)),
        )

    return fit


class Told(NamedTuple):
    """What the host answers: an evaluated batch, and the number of the next ask in the round."""

    candidates: Candidates
    evaluation: Evaluation
    ask: Any


def told_like(algorithm: Algorithm, history: History, base: BaseData) -> Told:
    """Shapes and types of an answer for one seed; nothing is computed."""

    def make(history: History, base: BaseData) -> Told:
        proposer = algorithm.proposer
        none = no_candidates(
            history,
            base.dataset,
            base.offset,
            batch=proposer.batch,
            max_duplicates=proposer.max_duplicates,
        )
        scores = jnp.zeros(proposer.batch, jnp.float32)
        evaluation = Evaluation(scores, none.status, jnp.zeros(proposer.batch, bool))
        return Told(none, evaluation, jnp.zeros((), jnp.int32))

    return jax.eval_shape(make, history, base)


def _ask(algorithm: Algorithm) -> Callable[..., tuple[tuple[History, Any], Any]]:
    """Tell what the host has answered, unless nothing was asked yet, and ask for the next batch."""
    tell = _tell(algorithm)

    def ask(
        carried: tuple[History, Any], rest: tuple[Any, SeedInputs, Any], shared: SharedInputs
    ) -> tuple[tuple[History, Any], Any]:
        params, inputs, packed = rest
        told = unpack(packed, told_like(algorithm, carried[0], shared.base))
        history, surrogate = lax.cond(
            shared.begins, lambda: carried, lambda: tell(carried, packed, shared)
        )
        key = loop.query_key(inputs.seed, shared.round, told.ask)
        state = State(params, history)
        candidates = loop.ask(algorithm, key, state, surrogate, shared.base, inputs.limit)
        return (history, surrogate), pack(candidates)

    return ask


def _search(algorithm: Algorithm, objective: Objective) -> Callable[..., tuple[Any, Batches]]:
    """Fit a surrogate, then ask, score and tell until the limit of charged queries is reached.

    ``shared.ask`` is the number of the fit within the round. The parameters are read only: passed
    through, they would be copied.
    """
    fit, asks = _fit(algorithm), algorithm.asks

    def search(
        changing: tuple[History, Any], rest: tuple[Any, SeedInputs], shared: SharedInputs
    ) -> tuple[tuple[History, Any], Batches]:
        params, inputs = rest
        state, surrogate = fit(State(params, *changing), inputs, shared)
        measures = algorithm.proposer.measures(surrogate)

        def goes_on(carry: tuple) -> jax.Array:
            asked, history, _, _ = carry
            return (asked < asks) & (history.used < inputs.limit)

        def one_ask(carry: tuple) -> tuple:
            asked, history, surrogate, batches = carry
            now = State(params, history, state.memory)
            key = loop.query_key(inputs.seed, shared.round, shared.ask * asks + asked)
            candidates = loop.ask(algorithm, key, now, surrogate, shared.base, inputs.limit)
            evaluation = loop.score(objective, candidates)
            now, surrogate = loop.tell(
                algorithm, now, surrogate, candidates, evaluation, shared.round
            )
            new = (
                candidates.latents,
                candidates.objects,
                evaluation.status,
                evaluation.scores,
                candidates.refused,
            )
            batches = jax.tree.map(lambda all_, one: all_.at[asked].set(one), batches, new)
            return asked + 1, now.history, surrogate, batches

        empty = _no_batches(algorithm, state.history)
        start = (jnp.zeros((), jnp.int32), state.history, surrogate, empty)
        asked, history, _, batches = lax.while_loop(goes_on, one_ask, start)
        return (history, state.memory), Batches._make([*batches, asked, measures])

    return search


def _no_batches(algorithm: Algorithm, history: History) -> tuple[jax.Array, ...]:
    """Latents, objects, status, scores and refused points of a search before the first ask."""
    shape = (algorithm.asks, algorithm.proposer.batch)
    return (
        jnp.zeros((*shape, *history.latents.shape[1:]), history.latents.dtype),
        jnp.zeros((*shape, *history.objects.shape[1:]), history.objects.dtype),
        jnp.full(shape, int(Status.UNUSED), jnp.int32),
        jnp.full(shape, NO_SCORE, jnp.float32),
        jnp.zeros(algorithm.asks, jnp.int32),
    )


def _tell(algorithm: Algorithm) -> Callable[..., tuple[History, Any]]:
    def tell(
        carried: tuple[History, Any], packed: Any, shared: SharedInputs
    ) -> tuple[History, Any]:
        history, surrogate = carried
        told = unpack(packed, told_like(algorithm, history, shared.base))
        # Without the parameters, which would be copied at every query.
        state, surrogate = loop.tell(
            algorithm, State((), history), surrogate, told.candidates, told.evaluation, shared.round
        )
        return state.history, surrogate

    return tell
