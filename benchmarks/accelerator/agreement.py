"""The same programs on the device and on its host's CPU: how far their results differ."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import wrlso
from benchmarks.accelerator.asks import DIMENSIONS, bound_and_slope
from benchmarks.accelerator.measure import NOT_COMPILED, Compiled, Compiling, Deadline, Row
from benchmarks.speed.gp_problems import draw_problem, standard_surrogate
from wrlso.acquisition import log_expected_improvement
from wrlso.fingerprint import fingerprint
from wrlso.gp import exact
from wrlso.gp.kernels import Matern52
from wrlso.models.elbo import weighted_negative_elbo
from wrlso.models.sampling import prng_key
from wrlso.proposers.surrogate import predict
from wrlso.tasks.molecule.model import MoleculeModel, load_model
from wrlso.tasks.molecule.task import SHIPPED
from wrlso.weighting import rank_weights

Case = tuple[Callable[..., Any], tuple[Any, ...]]


@dataclass
class Pair:
    """A function compiled for the device and for its host, and its arguments on each."""

    what: str
    programs: list[Future[Compiled]]
    arguments: list[Any]


def begun(small: bool, compiling: Compiling) -> Iterator[Pair]:
    """Start to compile every program twice.

    A model's products have JAX's default precision, which is lower than float32's on many
    accelerators; its rows say what that does, and what the precision ``highest`` leaves.
    """
    for proposer in ("grid",) if small else ("bo", "grid"):  # they take longest to compile
        what = f"queries of a simulation of shapes, {proposer}, precision highest"
        with jax.default_matmul_precision("highest"):
            yield _pair(what, _simulation(small, proposer), compiling)
    for what, case in {**_posteriors(small), **_exact_numbers(small)}.items():
        yield _pair(what, case, compiling)
    for precision in ("default",) if small else ("default", "highest"):
        with jax.default_matmul_precision(precision):
            for what, case in _model(small).items():
                yield _pair(f"{what}, precision {precision}", case, compiling)


def _pair(what: str, case: Case, compiling: Compiling) -> Pair:
    function, arguments = case
    devices = jax.devices()[0], jax.devices("cpu")[0]
    placed = {device: jax.device_put(arguments, device) for device in devices}
    programs = {device: compiling.begin(function, there) for device, there in placed.items()}
    return Pair(what, [programs[one] for one in devices], [placed[one] for one in devices])


def agreement(pairs: Sequence[Pair], deadline: Deadline) -> Iterator[Row]:
    """A row a program: the largest difference, relative to the largest number of its array.

    Whole numbers are compared one by one.
    """
    for pair in pairs:
        row = Row(PART, pair.what)
        try:
            compiled = [future.result(max(deadline.left, 0.1)) for future in pair.programs]
            both = zip(compiled, pair.arguments, strict=True)
            row.note = compared(*(one.program(*arguments) for one, arguments in both))
        except TimeoutError:
            row.note = NOT_COMPILED
        except Exception as error:  # a device that cannot hold it, a kernel that does not exist
            row.note = f"{type(error).__name__}: {error}"[:120]
        yield row


PART = "agreement with the CPU"


def compared(here: Any, there: Any) -> str:
    """In words: the largest relative difference, or how many whole numbers are equal."""
    errors, same, count = [0.0], 0, 0
    for a, b in zip(jax.tree.leaves(here), jax.tree.leaves(there), strict=True):
        a, b = np.asarray(a), np.asarray(b)
        if np.issubdtype(b.dtype, np.integer):
            same, count = same + int((a == b).sum()), count + b.size
        else:
            largest = np.abs(b).max() or 1.0
            errors.append(float(np.abs(a.astype(float) - b).max() / largest))
    if count:
        return f"{same} of {count} whole numbers equal"
    return f"largest relative difference {np.max(errors):.1e}"


def _posteriors(small: bool) -> dict[str, Case]:
    n, d = (20, 3) if small else (2000, DIMENSIONS)
    problem = draw_problem(np.random.default_rng(1), n, d)
    surrogate = standard_surrogate(problem)
    x = np.random.default_rng(2).normal(size=(50, d)).astype(np.float32)
    points, targets = surrogate.gp.points, surrogate.gp.targets

    def evidence(scales: Any, noise: Any, points: Any, targets: Any) -> Any:
        kernel = Matern52(scales, jnp.float32(1.3))
        return exact.log_marginal_likelihood(kernel, noise, points, targets)

    def improvement(x: Any, surrogate: Any) -> Any:
        mean, variance = predict(surrogate, x)
        return log_expected_improvement(mean, variance, surrogate.best).sum()

    scales = jnp.asarray(problem["lengthscales"], jnp.float32)
    hyper = (scales, jnp.float32(0.02), points, targets)
    return {
        f"posterior, n = {n}": (predict, (surrogate, x)),
        f"log evidence and slope, n = {n}": (jax.value_and_grad(evidence, (0, 1)), hyper),
        f"log EI and slope, n = {n}": (jax.value_and_grad(improvement), (x, surrogate)),
        "sparse bound and slope": bound_and_slope(*((60, 8, 3) if small else (2000, 200, 25))),
    }


def _exact_numbers(small: bool) -> dict[str, Case]:
    scores = np.random.default_rng(3).normal(size=1000).astype(np.float32)
    objects = np.random.default_rng(4).integers(0, 40, (100, 91)).astype(np.uint8)
    rows = jnp.asarray(wrlso.base_data(wrlso.tasks.expressions()).dataset.objects[:100])
    return {
        "rank weights": (partial(rank_weights, k=1e-3), (scores,)),
        "fingerprints": (fingerprint, (jnp.asarray(objects),)),
        "scores of expressions": (wrlso.tasks.expressions().objective, (rows,)),
    }


def _model(small: bool) -> dict[str, Case]:
    model = load_model(SHIPPED)
    vae = model.vae()
    latents = jax.random.normal(prng_key(0), (2 if small else 256, vae.latent_dim))
    decodes: Case = (vae.decode, (model.params, latents))
    if small:  # the ELBO takes ten seconds to compile, as the training step does
        return {"decodes of molecules": decodes}
    objects = jax.jit(vae.decode)(model.params, latents)
    return {
        "decodes of molecules": decodes,
        "negative ELBO of molecules and slope": elbo_and_slope(model, objects),
    }


def elbo_and_slope(model: MoleculeModel, objects: Any) -> Case:
    """The unweighted negative ELBO and its slope in the parameters."""

    def loss(params: Any, objects: Any) -> Any:
        return weighted_negative_elbo(prng_key(1), params, model.vae(), objects)

    return jax.value_and_grad(loss), (model.params, objects)


def _simulation(small: bool, proposer: str) -> Case:
    """Queries of the untouched model and of one retrained, as numbers of set pixels.

    A climb of ``bo`` ends a little elsewhere after sums in another order, and later queries follow
    from there; the points of a grid stay, as long as the retrained models agree.
    """
    task, budget = wrlso.tasks.shapes(), 2 if small else 20
    method = wrlso.methods.weighted_retraining(retrain_every=budget // 2).with_options(
        epochs=0.001 if small else 0.02
    )
    algorithm = wrlso.algorithm(task, method, budget=budget, proposer=proposer)
    params, base = wrlso.pretrained(task, progress=False), wrlso.base_data(task)

    def queries(params: Any, base: Any) -> Any:
        state, _ = wrlso.simulate(algorithm, task.objective, 0, params, base)
        objects = state.history.objects
        return (objects != 0).sum(axis=tuple(range(1, objects.ndim)))

    return queries, (params, base)
