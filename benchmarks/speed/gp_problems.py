"""Random regression problems, and their models in our and other libraries."""

import math
from typing import Any

import numpy as np


def draw_problem(rng: np.random.Generator, n: int, d: int) -> dict[str, Any]:
    """A smooth random function of latents with noise, and hyperparameters that suit it."""
    x = rng.normal(size=(n, d))
    scale = rng.uniform(0.5, 1.5) * math.sqrt(d)
    frequencies = rng.standard_t(5, size=(200, d)) / scale
    phases, heights = rng.uniform(0, 2 * np.pi, 200), rng.normal(size=200)
    y = np.cos(x @ frequencies.T + phases) @ heights * math.sqrt(2 / 200)
    y = y + 0.1 * rng.normal(size=n)
    return {
        "x": x,
        "y": (y - y.mean()) / y.std(),
        "lengthscales": scale * np.exp(0.2 * rng.normal(size=d)),
        "variance": 1.3,
        "noise": 0.02,
    }


def ours(problem: dict[str, Any], dtype: Any = np.float32) -> Any:
    """The exact posterior of ``wrlso.gp``."""
    import jax.numpy as jnp

    from wrlso.gp import exact
    from wrlso.gp.kernels import Matern52

    cast = {name: jnp.asarray(value, dtype) for name, value in problem.items()}
    kernel = Matern52(cast["lengthscales"], cast["variance"])
    return exact.condition(kernel, cast["noise"], cast["x"], cast["y"])


def standard_surrogate(problem: dict[str, Any]) -> Any:
    """A surrogate in the units of the problem."""
    import jax.numpy as jnp

    from wrlso.gp.standardize import Standardizer
    from wrlso.proposers.held_out import HeldOutFit
    from wrlso.proposers.surrogate import Surrogate

    gp = ours(problem)
    same = Standardizer(jnp.zeros(()), jnp.ones(()))
    best = gp.targets.max()
    fit = HeldOutFit(best, best)
    return Surrogate(gp, same, same, gp.points, gp.targets, gp.mask, best, jnp.int32(0), fit)


def gpytorch_model(problem: dict[str, Any], dtype: Any) -> Any:
    """BoTorch's model with the problem's hyperparameters."""
    import torch
    from botorch.models import SingleTaskGP
    from gpytorch.kernels import MaternKernel, ScaleKernel
    from gpytorch.likelihoods import GaussianLikelihood
    from gpytorch.means import ZeroMean

    d = problem["x"].shape[1]
    model = SingleTaskGP(
        torch.tensor(problem["x"], dtype=dtype),
        torch.tensor(problem["y"], dtype=dtype)[:, None],
        likelihood=GaussianLikelihood(),
        covar_module=ScaleKernel(MaternKernel(2.5, ard_num_dims=d)),
        mean_module=ZeroMean(),
        outcome_transform=None,
    ).to(dtype)
    model.covar_module.base_kernel.lengthscale = torch.tensor(problem["lengthscales"], dtype=dtype)
    model.covar_module.outputscale = torch.tensor(problem["variance"], dtype=dtype)
    model.likelihood.noise = torch.tensor(problem["noise"], dtype=dtype)
    return model.eval()
