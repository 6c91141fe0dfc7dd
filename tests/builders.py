"""Small things that many tests need: a task of 16 bits, and algorithms, runs and sweeps of it."""

import dataclasses
import os
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import wrlso
from wrlso import loop, methods, run, sweep
from wrlso.data import Dataset
from wrlso.gp.fit import FitConfig
from wrlso.loop.candidates import Evaluation, prepare_base
from wrlso.loop.retraining import RetrainConfig
from wrlso.models.elbo import bernoulli_log_likelihood
from wrlso.models.vae import VAE, Relaxation
from wrlso.proposers.base import Pool, Proposer
from wrlso.proposers.bo_config import BOConfig
from wrlso.proposers.surrogate import SurrogateConfig
from wrlso.runs.log import QueryLog
from wrlso.tasks.base import Task

ROOT = Path(__file__).parents[1]
"""The repository."""

SHARED = ROOT.parent / "shared"
"""Data that are too large for the repository, where they are at hand."""

EXPRESSIONS = SHARED / "data" / "expressions.txt.gz"

needs_expressions = pytest.mark.skipif(
    not EXPRESSIONS.exists(),
    reason="the paper's expressions (shared/data) are not on this machine",
)

PERTURBED = float(os.environ.get("WRLSO_TESTS_PERTURBED", "0"))
"""Relative size of a perturbation of the tiny task's parameters, see ``tests.perturbed``."""

BITS = 16


def bits_of(objects):
    """``[..., n]`` bytes to ``[..., 8 n]`` zeros and ones."""
    objects = jnp.asarray(objects)
    places = jnp.arange(8, dtype=jnp.uint8).reshape((1,) * objects.ndim + (8,))
    bits = (objects[..., None] >> places) & jnp.uint8(1)
    return bits.reshape(*objects.shape[:-1], 8 * objects.shape[-1]).astype(jnp.float32)


def tiny_vae(bits: int = BITS, latent_dim: int = 2) -> VAE:
    """A linear VAE over strings of 16 bits, stored as two bytes, or of any multiple of 8."""

    def init(key):
        a, b = jax.random.split(key)
        return {
            "encoder": 0.3 * jax.random.normal(a, (bits, 2 * latent_dim), jnp.float32),
            "decoder": jax.random.normal(b, (latent_dim, bits), jnp.float32),
            "bias": jnp.linspace(-1.0, 1.0, bits, dtype=jnp.float32),
        }

    def encode(params, objects):
        out = (bits_of(objects) - 0.5) @ params["encoder"]
        return out[:, :latent_dim], out[:, latent_dim:]

    def logits(params, z):
        return z @ params["decoder"] + params["bias"][None]

    def decode(params, z):
        return jnp.packbits(logits(params, z) > 0, axis=-1, bitorder="little")

    def log_likelihood(params, z, objects):
        return bernoulli_log_likelihood(logits(params, z), bits_of(objects)).sum(-1)

    relaxation = Relaxation(
        decode=lambda params, z: jax.nn.sigmoid(logits(params, z)),
        soften=bits_of,
        harden=lambda soft: jnp.packbits(soft > 0.5, axis=-1, bitorder="little"),
    )
    return VAE(latent_dim, init, encode, decode, log_likelihood, relaxation=relaxation)


def count_bits(objects):
    """The tiny task's objective."""
    return bits_of(objects).sum(-1)


def count_bits_on_host(thing):
    """The same objective for one object in NumPy."""
    return float(np.unpackbits(thing).sum())


def tiny_data(bits: int = BITS) -> Dataset:
    """200 strings with few bits set, some of them equal."""
    drawn = jax.random.uniform(jax.random.key(3), (200, bits), jnp.float32) < 0.25
    objects = jnp.packbits(drawn, axis=-1, bitorder="little")
    return Dataset(objects, count_bits(objects))


def tiny_params():
    """Parameters of the tiny model that many tests begin with."""
    params = tiny_vae().init(jax.random.key(1))
    rng = np.random.default_rng(0)

    def perturbed(a):
        factor = 1 + PERTURBED * rng.standard_normal(a.shape)
        return jnp.asarray(np.asarray(a) * factor, a.dtype)

    return jax.tree.map(perturbed, params)


def tiny_bo(**changes) -> BOConfig:
    """Bayesian optimisation with little effort."""
    surrogate = SurrogateConfig(
        best=10, random=20, inducing=8, fit=FitConfig(restarts=1, evaluations=4)
    )
    return BOConfig(**(dict(starts=4, candidates=12, evaluations=8, surrogate=surrogate) | changes))


def make_tiny_task(**changes) -> Task:
    """Set as many of 16 bits as possible."""
    vae = tiny_vae()
    settings = dict(
        name="bits",
        vae=vae,
        load_data=tiny_data,
        objective=count_bits,
        soft_objective=lambda soft: soft.sum(-1),
        bo=tiny_bo(),
        params=tiny_params(),
        retrain=RetrainConfig(1.0, 0.5, 16, 1e-2, 1.0),
        proposer="grid",
    )
    return Task(**(settings | changes))


def host_task(objective, **changes) -> Task:
    """The tiny task with an objective in Python."""
    return make_tiny_task(**({"proposer": "prior"} | changes), objective=None,
                          host_objective=objective)  # fmt: skip


def tiny_algorithm(
    method="weighted_retraining", proposer="grid", budget=12, r=4, *, batch=None,
    gradient_of=None, **changes
):  # fmt: skip
    """A task and the algorithm of a named method on it."""
    method = methods.METHODS[method]
    if method.retrain_every is not None:
        method = method.with_options(retrain_every=r)
    task = make_tiny_task(**changes)
    return task, wrlso.algorithm(
        task, method, budget=budget, proposer=proposer, batch=batch, gradient_of=gradient_of
    )


def fixed_pool(objects, **settings):
    """A proposer whose pool is always the same, and a list of what it observes."""
    observed = []
    latents = jnp.arange(2.0 * len(objects)).reshape(-1, 2)
    proposer = Proposer(
        "fixed",
        lambda key, view, surrogate: Pool(latents, jnp.array(objects, jnp.uint8)),
        observe=lambda surrogate, observations: observed.append(observations) or surrogate,
        **settings,
    )
    return proposer, observed


METHOD = methods.weighted_retraining(k=1e-2, retrain_every=4)

SWEPT = {
    "k=0.01": METHOD,
    "k=1": methods.weighted_retraining(k=1.0, retrain_every=4),
    "uniform": methods.retrain_only(4),
    "r=6": methods.weighted_retraining(k=1e-2, retrain_every=6),
}
"""Methods of a sweep: three differ in k only, so that they are one program."""


def tiny_run(out, task=None, method=METHOD, **changes):
    """A run of three seeds, of three rounds of four queries."""
    settings = dict(budget=12, seeds=3, proposer="grid", progress=False)
    return run(task or make_tiny_task(), method, out=out, **(settings | changes))


def tiny_sweep(out, swept=SWEPT, task=None, **changes):
    """A sweep of such runs."""
    settings = dict(budget=12, seeds=3, proposer="prior", progress=False)
    return sweep(task or make_tiny_task(), swept, out=out, **(settings | changes))


class Killed(KeyboardInterrupt):
    """Stands for anything that ends the process in the middle."""


def all_queries(path):
    """The logged queries of a run, finished or not."""
    log = QueryLog(path / "queries.sqlite")
    found = log.queries()
    log.close()
    return found


def logged_rounds(path):
    """The logged rounds of a run, finished or not."""
    log = QueryLog(path / "queries.sqlite")
    found = log.rounds()
    log.close()
    return found


def unfinish(path):
    """Make a finished run look as if it had been killed before its summary."""
    (path / "summary.json").unlink()
    return path


def evaluation(candidates, scores, status=None, failed=False):
    """An evaluation of candidates that has these scores."""
    status = candidates.status if status is None else jnp.asarray(status)
    failed = jnp.broadcast_to(jnp.asarray(failed), status.shape)
    return Evaluation(jnp.asarray(scores, jnp.float32), status, failed)


def begun(proposer, scores=None, **changes):
    """An algorithm with a proposer, one row of base data that no pool has, and a first state."""
    task, algorithm = tiny_algorithm(proposer="prior")
    algorithm = dataclasses.replace(algorithm, proposer=proposer, **changes)
    scores = jnp.zeros(1) if scores is None else jnp.array(scores)
    base = prepare_base(Dataset(jnp.array([[255, 255]], jnp.uint8), scores), algorithm.dedup_key)
    return algorithm, base, loop.init(algorithm, task.params, base.dataset)


def simulation(proposer="grid", budget=20, r=10, **changes):
    """A task, and the compiled function from a seed to the final state of an algorithm on it."""
    task, algorithm = tiny_algorithm(proposer=proposer, budget=budget, r=r, **changes)
    base = prepare_base(task.load_data())
    return task, jax.jit(
        lambda seed: wrlso.simulate(algorithm, task.objective, seed, task.params, base)[0]
    )


def loop_by_hand(task, algorithm, seed=0):
    """Algorithm 1 as a user would write it: init, retrain, fit, ask, score, tell."""
    retrain, fit, ask, tell = (
        jax.jit(step, static_argnums=0) for step in (loop.retrain, loop.fit, loop.ask, loop.tell)
    )
    base = wrlso.base_data(task)
    state = loop.init(algorithm, wrlso.pretrained(task, progress=False), base.dataset)
    for round in range(algorithm.rounds):
        used = int(state.history.used)
        steps = algorithm.steps(round, len(base.dataset.scores) + used)
        key = loop.query_key(seed, round, loop.RETRAIN)
        state, info = retrain(algorithm, key, state, base, steps)
        assert bool(info.finite) or info.effective_rows == 0
        state, surrogate = fit(algorithm, loop.query_key(seed, round, loop.FIT), state, base)
        limit = min(used + algorithm.retrain_every, algorithm.budget)
        for i in range(algorithm.asks):
            key = loop.query_key(seed, round, i)
            candidates = ask(algorithm, key, state, surrogate, base, limit)
            found = loop.score(task.objective, candidates)
            state, surrogate = tell(algorithm, state, surrogate, candidates, found, round)
    return state
