"""BoTorch's ask and GPyTorch's gradient step on the device that PyTorch finds, as JSON rows."""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import numpy as np

from benchmarks.accelerator.measure import Row
from benchmarks.speed.gp_problems import draw_problem, gpytorch_model


def main() -> None:
    import torch

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--small", action="store_true")
    small = parser.parse_args().small
    device = "cuda" if torch.cuda.is_available() else "cpu"
    sizes = (20,) if small else (200, 2000)
    for n in sizes:
        row = Row("ask", f"{4 if small else 20} starts", f"n = {n}, 1 seeds", "BoTorch")
        row.seconds = row.each = _seconds(_ask(n, 25, small, device), device)
        row.note = f"float64, as it advises, on {device}"
        print(json.dumps(asdict(row)), flush=True)
    n, m, d = (60, 8, 3) if small else (10_000, 500, 56)
    row = Row("sparse", "gradient step of the bound", f"n = {n}, M = {m}, d = {d}", "GPyTorch")
    row.seconds = row.each = _seconds(_sparse(n, m, d, device), device)
    row.note = f"float32, on {device}"
    print(json.dumps(asdict(row)), flush=True)


def _seconds(call: Callable[[], Any], device: str) -> float:
    import torch

    def once() -> float:
        start = time.perf_counter()
        call()
        if device == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - start

    once()
    return statistics.median(once() for _ in range(3))


def _ask(n: int, d: int, small: bool, device: str) -> Callable[[], Any]:
    import torch
    from botorch.acquisition import LogExpectedImprovement
    from botorch.optim import optimize_acqf

    problem = draw_problem(np.random.default_rng([n, 0]), n, d)
    model = gpytorch_model(problem, torch.float64).to(device)
    log_ei = LogExpectedImprovement(model, best_f=problem["y"].max())
    box = torch.tensor([[-3.0] * d, [3.0] * d], dtype=torch.float64, device=device)
    starts, draws = (4, 12) if small else (20, 256)
    return lambda: optimize_acqf(log_ei, box, q=1, num_restarts=starts, raw_samples=draws)


def _sparse(n: int, m: int, d: int, device: str) -> Callable[[], Any]:
    import gpytorch
    import torch

    problem = draw_problem(np.random.default_rng(0), n, d)
    x = torch.tensor(problem["x"], dtype=torch.float32, device=device)
    y = torch.tensor(problem["y"], dtype=torch.float32, device=device)

    class Sparse(gpytorch.models.ExactGP):
        def __init__(self, likelihood: Any) -> None:
            super().__init__(x, y, likelihood)
            self.mean_module = gpytorch.means.ZeroMean()
            base = gpytorch.kernels.ScaleKernel(gpytorch.kernels.MaternKernel(2.5, ard_num_dims=d))
            self.covar_module = gpytorch.kernels.InducingPointKernel(
                base, inducing_points=x[:m].clone(), likelihood=likelihood
            )

        def forward(self, x: Any) -> Any:
            return gpytorch.distributions.MultivariateNormal(
                self.mean_module(x), self.covar_module(x)
            )

    likelihood = gpytorch.likelihoods.GaussianLikelihood()
    model = Sparse(likelihood).to(device).train()
    bound = gpytorch.mlls.ExactMarginalLogLikelihood(model.likelihood, model)

    def step() -> None:
        model.zero_grad()
        (-bound(model(x), y)).backward()

    return step


if __name__ == "__main__":
    main()
