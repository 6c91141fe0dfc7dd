"""The loop's functions for all seeds of a run, each compiled exactly once."""

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from wrlso import loop
from wrlso.data import History
from wrlso.loop.algorithm import Algorithm, State
from wrlso.loop.candidates import BaseData, Candidates, Evaluation, no_candidates
from wrlso.loop.retraining import RetrainInfo
from wrlso.loop.steps import measures
from wrlso.parallel import (
    SeedPlan,
    compiler_options,
    cond_over_lanes,
    over_seeds,
    over_seeds_in_place,
    spread,
)
from wrlso.proposers.base import Prediction
from wrlso.runs.lanes import SeedInputs, SharedInputs
from wrlso.runs.packing import pack, pack_lanes, unpack, unpack_lanes
from wrlso.runs.process import collector_paused
from wrlso.scores import Objective, raw_scores
from wrlso.status import Status

Clock = Callable[[str, float], None]
"""Called with a phase and the seconds that it took."""

Say = Callable[[str], None]
"""Called with a few words for the progress bar."""


Answer = tuple[Candidates, Evaluation]
"""A batch ``[lanes, q]`` and its evaluation."""


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
            with collector_paused():
                lowered = self._jitted.lower(*args)
            self._compiled = lowered.compile(compiler_options())
            self.compilations += 1
            self._clock("compile", time.perf_counter() - start)
            self._say(self.name)
        start = time.perf_counter()
        out = jax.block_until_ready(self._compiled(*args))
        self._clock(self.name, time.perf_counter() - start)
        return out

    def shape(self, *args: Any) -> Any:
        """The shapes and types of the result, without compiling the function."""
        return jax.eval_shape(self._jitted, *args)


class Batches(NamedTuple):
    """All batches of one search, in the order of the asks.

    Attributes:
      latents: ``[asks, q, d]``.
      objects: ``[asks, q, ...]``.
      status: ``[asks, q]``, UNUSED beyond the asks that were made.
      scores: ``[asks, q]`` in the objective's own type; they count where the status is OK.
      refused: ``[asks]``, the number of points passed over, as the task does not accept them.
      prediction: ``[asks, q]`` each, see :func:`wrlso.loop.predict`; None: there is none.
      asked: ``[]``, the number of asks that were made.
      measures: ``[]`` each, see ``Proposer.measures``.
    """

    latents: Any
    objects: Any
    status: Any
    scores: Any
    refused: Any
    prediction: Any
    asked: Any
    measures: Any


class CompiledLoop:
    """The loop's functions over the lanes of a plan.

    With an objective in JAX a round is two programs: ``retrain``, and ``search``, which fits, asks,
    scores and tells until the seed's limit is reached. With an objective on the host, ``fit``,
    ``ask``, ``predict`` and ``tell`` are programs of their own; candidates come to the host, and
    answers to the devices, in one transfer each. ``settle`` and ``fantasize`` serve results that
    come later than the next ask.

    Args:
      algorithm: the method on its task.
      objective: in JAX; None: on the host.
      plan: of the lanes.
      like: shapes and types of an answer for one seed.
      clock, say: see :class:`CompiledOnce`.
    """

    def __init__(
        self,
        algorithm: Algorithm,
        objective: Objective | None,
        plan: SeedPlan,
        like: Answer,
        clock: Clock,
        say: Say = lambda _: None,
    ) -> None:
        def lift(name: str, function: Callable[..., Any], donate: bool = False) -> CompiledOnce:
            over = over_seeds_in_place if donate else over_seeds
            lanes = over(lambda lane, shared: function(*lane, shared), plan)

            def call(first: Any, rest: Any, shared: Any) -> Any:
                return lanes((first, rest), shared)

            return CompiledOnce(name, call, clock, donate, say)

        self.retrain = lift("retrain", _retrain(algorithm), donate=True)
        self.search = None
        if objective is not None:
            self.search = lift("search", _search(algorithm, objective), donate=True)
        self.fit = lift("fit", _fit(algorithm), donate=True)
        self.ask = lift("ask", _ask(algorithm))
        self.predict = lift("predict", _predict(algorithm))
        self.tell = lift("tell", _tell(algorithm), donate=True)
        self.settle = lift("settle", _settle(algorithm))
        self.fantasize = lift("fantasize", _fantasize(algorithm))

        # Programs of their own: within another one they would change how that one rounds.
        self._plan, self._like = plan, like
        self._pack = jax.jit(jax.vmap(pack))
        lanes = spread(plan, np.zeros(plan.lanes)).sharding
        self._unpack = jax.jit(jax.vmap(lambda one: unpack(one, like)), out_shardings=lanes)

    def on_host(self, candidates: Candidates) -> Candidates:
        """Candidates ``[lanes, q]`` as NumPy arrays, in one transfer."""
        return unpack_lanes(np.asarray(self._pack(candidates)), self._like[0])

    def on_devices(self, answer: Answer) -> Answer:
        """An answer ``[lanes, q]`` on the devices, in one transfer."""
        return self._unpack(spread(self._plan, pack_lanes(answer, self._like, self._plan)))

    @property
    def compilations(self) -> dict[str, int]:
        """Number of compilations of each function that was used: one each."""
        functions = (
            self.retrain, self.search, self.fit, self.ask, self.predict, self.tell, self.settle,
            self.fantasize,
        )  # fmt: skip
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
        return cond_over_lanes(
            state.history.used < inputs.limit,
            lambda: fit_seed(state, inputs.seed, shared),
            lambda: (state, jax.tree.map(lambda a: jnp.zeros(a.shape, a.dtype), like)),
        )

    return fit


def answer_like(algorithm: Algorithm, history: History, base: BaseData) -> Answer:
    """Shapes and types of an answer for one seed; nothing is computed."""

    def make(history: History, base: BaseData) -> Answer:
        proposer = algorithm.proposer
        sizes = {"batch": proposer.batch, "max_duplicates": proposer.max_duplicates}
        none = no_candidates(history, base, **sizes)
        scores = jnp.zeros(proposer.batch, jnp.float32)
        return none, Evaluation(scores, none.status, jnp.zeros(proposer.batch, bool))

    return jax.eval_shape(make, history, base)


def _ask(algorithm: Algorithm) -> Callable[..., Candidates]:
    def ask(carried: tuple[State, Any], inputs: SeedInputs, shared: SharedInputs) -> Candidates:
        key = loop.query_key(inputs.seed, shared.round, shared.ask)
        return loop.ask(algorithm, key, *carried, shared.base, inputs.limit)

    return ask


def _predict(algorithm: Algorithm) -> Callable[..., Prediction | None]:
    def predict(surrogate: Any, latents: jax.Array, shared: SharedInputs) -> Prediction | None:
        return loop.predict(algorithm, surrogate, latents)

    return predict


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
        measured = measures(algorithm, surrogate)

        def goes_on(carry: tuple) -> jax.Array:
            asked, history, _, _ = carry
            return (asked < asks) & (history.used < inputs.limit)

        def one_ask(carry: tuple) -> tuple:
            asked, history, surrogate, batches = carry
            now = State(params, history, state.memory)
            key = loop.query_key(inputs.seed, shared.round, shared.ask * asks + asked)
            candidates = loop.ask(algorithm, key, now, surrogate, shared.base, inputs.limit)
            prediction = None
            if algorithm.proposer.predict is not None:
                # The barrier keeps what is recorded from changing how the search rounds.
                known = lax.optimization_barrier((surrogate, candidates.latents))
                prediction = loop.predict(algorithm, *known)
            scores = raw_scores(objective, candidates.objects)
            evaluation = loop.judge(scores, candidates)
            now, surrogate = loop.tell(
                algorithm, now, surrogate, candidates, evaluation, shared.round
            )
            new = (
                candidates.latents,
                candidates.objects,
                evaluation.status,
                # No NaN leaves a program.
                jnp.where(evaluation.status == Status.OK, scores, jnp.zeros_like(scores)),
                candidates.refused,
                prediction,
            )
            batches = jax.tree.map(lambda all_, one: all_.at[asked].set(one), batches, new)
            return asked + 1, now.history, surrogate, batches

        empty = _no_batches(algorithm, state.history, objective)
        start = (jnp.zeros((), jnp.int32), state.history, surrogate, empty)
        asked, history, _, batches = lax.while_loop(goes_on, one_ask, start)
        return (history, state.memory), Batches._make([*batches, asked, measured])

    return search


def _no_batches(algorithm: Algorithm, history: History, objective: Objective) -> tuple[Any, ...]:
    """The first fields of the batches of a search before the first ask."""
    shape = (algorithm.asks, algorithm.proposer.batch)
    one = jax.ShapeDtypeStruct((1, *history.objects.shape[1:]), history.objects.dtype)
    scores = jax.eval_shape(lambda objects: raw_scores(objective, objects), one)
    return (
        jnp.zeros((*shape, *history.latents.shape[1:]), history.latents.dtype),
        jnp.zeros((*shape, *history.objects.shape[1:]), history.objects.dtype),
        jnp.full(shape, int(Status.UNUSED), jnp.int32),
        jnp.zeros(shape, scores.dtype),
        jnp.zeros(algorithm.asks, jnp.int32),
        None
        if algorithm.proposer.predict is None
        else Prediction(*[jnp.zeros(shape, jnp.float32)] * 2),
    )


def _tell(algorithm: Algorithm) -> Callable[..., tuple[tuple[History, Any], tuple[()]]]:
    def tell(
        carried: tuple[History, Any], told: Answer, shared: SharedInputs
    ) -> tuple[tuple[History, Any], tuple[()]]:
        history, surrogate = carried
        # Without the parameters, which would be copied at every query.
        state = State((), history)
        state, surrogate = loop.tell(algorithm, state, surrogate, *told, shared.round)
        return (state.history, surrogate), ()

    return tell


def _settle(algorithm: Algorithm) -> Callable[..., tuple[State, Any]]:
    def settle(
        carried: tuple[State, Any], settlement: loop.Settlement, shared: SharedInputs
    ) -> tuple[State, Any]:
        return loop.settle(algorithm, *carried, settlement)

    return settle


def _fantasize(algorithm: Algorithm) -> Callable[..., Any]:
    def fantasize(carried: tuple[State, Any], inputs: SeedInputs, shared: SharedInputs) -> Any:
        return loop.fantasize_pending(algorithm, *carried)

    return fantasize
