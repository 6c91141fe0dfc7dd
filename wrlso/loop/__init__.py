"""Algorithm 1 of the paper as pure functions of one seed: init, retrain, fit, ask, tell.

The same functions serve an objective written in JAX, when everything stays in one compiled program
(:func:`simulate`), and an objective on the host, which scores the candidates between ``ask`` and
``tell``. Every random number comes from ``fold_in`` of seed, round and ask.

Jit each step once and call that, as in ``ask = jax.jit(functools.partial(loop.ask, algorithm))``: a
step outside ``jit`` compiles anew at each call, as it makes new functions for the loops in it.
"""

from wrlso.loop.algorithm import FIT, RETRAIN, Algorithm, Hyper, State, init, query_key
from wrlso.loop.candidates import BaseData, Candidates, Evaluation, choose, prepare_base
from wrlso.loop.retraining import RetrainConfig, RetrainInfo
from wrlso.loop.simulation import Rounds, simulate
from wrlso.loop.steps import ask, fit, judge, predict, retrain, score
from wrlso.loop.tell import Settlement, fantasize_pending, settle, tell

__all__ = [
    "FIT",
    "RETRAIN",
    "Algorithm",
    "BaseData",
    "Candidates",
    "Evaluation",
    "Hyper",
    "RetrainConfig",
    "RetrainInfo",
    "Rounds",
    "Settlement",
    "State",
    "ask",
    "choose",
    "fantasize_pending",
    "fit",
    "init",
    "judge",
    "predict",
    "prepare_base",
    "query_key",
    "retrain",
    "score",
    "settle",
    "simulate",
    "tell",
]
