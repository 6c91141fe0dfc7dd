"""The loop's functions for all seeds of a run, each compiled exactly once."""

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from wrlso import loop
from wrlso.candidates import Candidates, Shared
from wrlso.data import Acquired
from wrlso.loop import Algorithm, State
from wrlso.parallel import SeedPlan, over_seeds
from wrlso.propose import Objective
from wrlso.retrain import RetrainInfo

Clock = Callable[[str, float], None]
Say = Callable[[str], None]


class Lane(NamedTuple):
    """A seed's small arguments: its number, the training steps of its next retraining, the charged
    queries that it may have at the end of the round, and traced numbers."""

    seed: Any
    steps: Any
    limit: Any
    hyper: Any


class Global(NamedTuple):
    """What all seeds read: data, round, and the number of the ask or fit within it."""

    data: Shared
    round: Any
    ask: Any


class Once:
    """A function that is compiled at its first call, and never again.

    A later call with other shapes or types is an error, not another
    compilation, so "compiles once a run" holds by construction.
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


class CompiledLoop:
    """``retrain``, ``fit``, ``ask``, ``score`` and ``tell`` over the lanes of a plan."""

    def __init__(
        self,
        algorithm: Algorithm,
        objective: Objective | None,
        plan: SeedPlan,
        clock: Clock,
        say: Say = lambda _: None,
    ) -> None:
        def lift(name: str, function: Callable[..., Any], donate: bool = False) -> Once:
            lanes = over_seeds(lambda lane, shared: function(*lane, shared), plan)

            def call(first: Any, rest: Any, shared: Any) -> Any:
                return lanes((first, rest), shared)

            return Once(name, call, clock, donate, say)

        def retrain(state: State, lane: Lane, shared: Global) -> tuple[State, RetrainInfo]:
            key = loop.query_key(lane.seed, shared.round, loop.RETRAIN)
            return loop.retrain(algorithm, key, state, shared.data, lane.steps, lane.hyper)

        @jax.jit
        def fit_open(state: State, seed: Any, shared: Global) -> tuple[State, Any]:
            key = loop.query_key(seed, shared.round, loop.FIT - shared.ask)
            return loop.fit(algorithm, key, state, shared.data)

        def fit(state: State, lane: Lane, shared: Global) -> tuple[State, Any]:
            # No surrogate for a seed that has nothing to ask for.
            _, like = jax.eval_shape(fit_open, state, lane.seed, shared)
            return lax.cond(
                state.acquired.used < lane.limit,
                lambda: fit_open(state, lane.seed, shared),
                lambda: (state, jax.tree.map(lambda a: jnp.zeros(a.shape, a.dtype), like)),
            )

        def ask(carried: tuple[State, Any], lane: Lane, shared: Global) -> Candidates:
            key = loop.query_key(lane.seed, shared.round, shared.ask)
            return loop.ask(algorithm, key, *carried, shared.data, lane.limit)

        def tell(
            carried: tuple[Acquired, Any], told: tuple[Candidates, Any, Any], shared: Global
        ) -> tuple[Acquired, Any]:
            acquired, surrogate = carried
            candidates, scores, status = told
            # Without the parameters, which would be copied at every query.
            state = State((), acquired)
            told_of = loop.tell(
                algorithm, state, surrogate, candidates, scores, status, shared.round
            )
            return told_of[0].acquired, told_of[1]

        self.retrain = lift("retrain", retrain, donate=True)
        self.fit = lift("fit", fit, donate=True)
        self.ask = lift("ask", ask)
        self.tell = lift("tell", tell, donate=True)

        def score(candidates: Candidates, lane: Lane, shared: Global) -> tuple[Any, Any]:
            assert objective is not None
            return loop.score(objective, candidates)

        self.score = None if objective is None else lift("score", score)

    @property
    def compilations(self) -> dict[str, int]:
        """How often each function was compiled: once if it was used, else not at all."""
        functions = (self.retrain, self.fit, self.ask, self.score, self.tell)
        return {f.name: f.compilations for f in functions if f is not None}
