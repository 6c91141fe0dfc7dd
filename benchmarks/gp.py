"""Gaussian processes and asks: agreement with peers, speed against them, robustness.

    python -m benchmarks.gp [--only agreement ask sparse seeds maximizer robust]

Peers: GPyTorch and BoTorch (extra 'benchmarks'), scikit-learn, SciPy. Every section runs
in a process of its own, on all cores. Writes benchmarks/results/gp.md and gp.csv.
Ratios carry over to another machine, times do not.
"""

import math
import statistics
import time
from functools import partial
from typing import Any

import numpy as np

from benchmarks.harness import Row, main, median_seconds

STARTS, CANDIDATES, BOUND = 20, 256, 3.0


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
    import jax.numpy as jnp

    from wrlso.gp import exact
    from wrlso.gp.kernels import Matern52

    cast = {name: jnp.asarray(value, dtype) for name, value in problem.items()}
    kernel = Matern52(cast["lengthscales"], cast["variance"])
    return exact.condition(kernel, cast["noise"], cast["x"], cast["y"])


def gpytorch_model(problem: dict[str, Any], dtype: Any) -> Any:
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


def section_agreement() -> list[Row]:
    """Posterior mean, variance and log marginal likelihood at the same hyperparameters."""
    import gpytorch
    import jax
    import torch
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import ConstantKernel, Matern

    from wrlso.gp import exact
    from wrlso.gp.kernels import Matern52

    def compare(dtype: Any, n: int, d: int) -> tuple[float, float]:
        rng = np.random.default_rng([n, d])
        problem = draw_problem(rng, n, d)
        query = rng.normal(size=(50, d))
        kernel = Matern52(np.asarray(problem["lengthscales"], dtype), dtype(problem["variance"]))
        mean, variance = exact.predict(ours(problem, dtype), query.astype(dtype))
        lml = exact.log_marginal_likelihood(
            kernel,
            dtype(problem["noise"]),
            problem["x"].astype(dtype),
            problem["y"].astype(dtype),
        )
        mine = [np.asarray(mean, float), np.asarray(variance, float), np.asarray([float(lml)])]

        form = ConstantKernel(problem["variance"]) * Matern(problem["lengthscales"], nu=2.5)
        sk = GaussianProcessRegressor(form, alpha=problem["noise"], optimizer=None)
        sk.fit(problem["x"], problem["y"])
        sk_mean, sk_sd = sk.predict(query, return_std=True)
        sklearn = [sk_mean, sk_sd**2, np.asarray([sk.log_marginal_likelihood_value_])]

        model = gpytorch_model(problem, torch.float64)
        exactly = gpytorch.settings.fast_computations(False, False, False)
        with torch.no_grad(), exactly, gpytorch.settings.max_cholesky_size(10**6):
            posterior = model(torch.tensor(query))
            model.train()
            marginal = gpytorch.mlls.ExactMarginalLogLikelihood(model.likelihood, model)
            torch_lml = marginal(model(*model.train_inputs), model.train_targets) * n
        torches = [posterior.mean.numpy(), posterior.variance.numpy(), np.asarray([torch_lml])]

        def worst(theirs: list[np.ndarray]) -> float:
            pairs = zip(mine, theirs, strict=True)
            return max(float(np.abs(a - b).max() / np.abs(b).max()) for a, b in pairs)

        return worst(torches), worst(sklearn)

    rows: list[Row] = []
    for name, dtype, target in (("float32", np.float32, 1e-4), ("float64", np.float64, 1e-8)):
        with jax.enable_x64(dtype is np.float64):
            errors = [compare(dtype, n, d) for n in (50, 200, 1000) for d in (2, 25, 56)]
        for peer, column in (("GPyTorch", 0), ("scikit-learn", 1)):
            rows.append(
                (
                    f"posterior and evidence against {peer}, {name}",
                    f"{max(e[column] for e in errors):.1e}",
                    f"<= {target:g}",
                    "largest error of mean, variance and log marginal likelihood, each relative to "
                    "its largest value; n in 50, 200, 1000, d in 2, 25, 56; peer in float64",
                )
            )
    return rows


def section_ask() -> list[Row]:
    """EI maximised over 20 starts against BoTorch's optimize_acqf; judged by its own float64."""
    import jax
    import torch
    from botorch.acquisition import LogExpectedImprovement
    from botorch.optim import optimize_acqf

    from wrlso.bo import BOConfig, optimize

    config = BOConfig(starts=STARTS, candidates=CANDIDATES, bound=BOUND)
    ask = jax.jit(lambda key, surrogate: optimize(key, surrogate, config)[0])
    rows: list[Row] = []
    for n in (200, 2000):
        for d in (2, 25, 56):
            ratios, gains, mine, theirs = [], [], [], []
            for trial in range(3):
                problem = draw_problem(np.random.default_rng([n, d, trial]), n, d)
                surrogate = standard_surrogate(problem)
                point = np.asarray(ask(jax.random.key(trial), surrogate))
                keys = iter(range(100))
                mine.append(
                    median_seconds(
                        lambda s=surrogate, k=keys: ask(
                            jax.random.key(next(k)), s
                        ).block_until_ready(),
                        5,
                    )
                )
                peer = LogExpectedImprovement(
                    gpytorch_model(problem, torch.float64), best_f=problem["y"].max()
                )
                box = torch.tensor([[-BOUND] * d, [BOUND] * d], dtype=torch.float64)
                torch.manual_seed(trial)
                with torch.no_grad():  # also fills the peer's caches before its clock starts
                    value = peer(torch.tensor(point, dtype=torch.float64)[None]).item()
                start = time.perf_counter()
                _, best = optimize_acqf(peer, box, q=1, num_restarts=STARTS, raw_samples=CANDIDATES)
                theirs.append(time.perf_counter() - start)
                ratios.append(theirs[-1] / mine[-1])
                gains.append(value - best.item())
            rows.append(
                (
                    f"one ask, n = {n}, d = {d}, against BoTorch",
                    f"{statistics.median(ratios):.1f} x faster, EI "
                    f"{math.exp(statistics.median(gains)):.4f} x",
                    ">= 5 x, EI >= 1 x",
                    f"{1e3 * statistics.median(mine):.1f} against "
                    f"{1e3 * statistics.median(theirs):.0f} ms (BoTorch in float64, as it asks "
                    "for); EI ratios "
                    + ", ".join(f"{math.exp(min(g, 50)):.4f}" for g in gains)
                    + "; medians of 3 problems",
                )
            )
    return rows


def standard_surrogate(problem: dict[str, Any]) -> Any:
    """A surrogate whose units are those of the problem."""
    import jax.numpy as jnp

    from wrlso.gp.standardize import Standardizer
    from wrlso.surrogate import Surrogate

    gp = ours(problem)
    same = Standardizer(jnp.zeros(()), jnp.ones(()))
    best = gp.targets.max()
    return Surrogate(gp, same, same, gp.points, gp.targets, gp.mask, best, jnp.int32(0))


def section_sparse() -> list[Row]:
    """A gradient step of the collapsed bound, and an observation more, at full size."""
    import gpytorch
    import jax
    import jax.numpy as jnp
    import torch

    from wrlso.gp import sparse
    from wrlso.gp.kernels import Matern52

    n, m, d = 10_000, 500, 56
    rng = np.random.default_rng(0)
    problem = draw_problem(rng, n, d)
    x, y = (jnp.asarray(problem[name], jnp.float32) for name in ("x", "y"))
    z = sparse.k_means(jax.random.key(0), x, m)
    hyper = (jnp.asarray(problem["lengthscales"], jnp.float32), jnp.float32(1.3), jnp.float32(0.02))

    @jax.jit
    def step(hyper: Any, z: Any) -> Any:
        def bound(hyper: Any, z: Any) -> Any:
            return sparse.log_marginal_bound(Matern52(*hyper[:2]), hyper[2], x, y, z)

        return jax.value_and_grad(bound, argnums=(0, 1))(hyper, z)

    class Model(gpytorch.models.ExactGP):
        def __init__(self, x: Any, y: Any, likelihood: Any) -> None:
            super().__init__(x, y, likelihood)
            self.mean = gpytorch.means.ZeroMean()
            base = gpytorch.kernels.ScaleKernel(gpytorch.kernels.MaternKernel(2.5, ard_num_dims=d))
            self.covariance = gpytorch.kernels.InducingPointKernel(
                base, inducing_points=torch.tensor(np.array(z)), likelihood=likelihood
            )

        def forward(self, x: Any) -> Any:
            return gpytorch.distributions.MultivariateNormal(self.mean(x), self.covariance(x))

    likelihood = gpytorch.likelihoods.GaussianLikelihood()
    model = Model(torch.tensor(np.array(x)), torch.tensor(np.array(y)), likelihood)
    model.covariance.base_kernel.base_kernel.lengthscale = torch.tensor(np.array(hyper[0]))
    model.covariance.base_kernel.outputscale = 1.3
    likelihood.noise = 0.02
    model.train()
    marginal = gpytorch.mlls.ExactMarginalLogLikelihood(likelihood, model)

    def peer_step() -> float:
        model.zero_grad()
        with gpytorch.settings.max_cholesky_size(10**6):
            loss = -marginal(model(*model.train_inputs), model.train_targets)
            loss.backward()
        return -loss.item() * n

    gp = jax.jit(lambda h: sparse.condition(Matern52(*h[:2]), h[2], x, y, z))(hyper)
    add = jax.jit(sparse.add, donate_argnums=0)
    point = x[0] + 0.1
    square = jnp.ones((3000, 3000), jnp.float32)
    product = jax.jit(lambda a: a @ a)

    def added() -> float:
        """Median over 200 observations, each added to the posterior before."""
        state, seconds = jax.tree.map(jnp.copy, gp), []
        for _ in range(201):
            start = time.perf_counter()
            state = jax.block_until_ready(add(state, point, 0.3))
            seconds.append(time.perf_counter() - start)
        return statistics.median(seconds[1:])

    repeats = 5
    mine, theirs, adds, peaks = [], [], [], []
    for _ in range(repeats):
        mine.append(median_seconds(lambda: jax.block_until_ready(step(hyper, z)), 3))
        theirs.append(median_seconds(peer_step, 1))
        adds.append(added())
        peaks.append(
            2 * 3000**3 / median_seconds(lambda: product(square).block_until_ready(), 3) / 1e9
        )
    own, peer, one, peak = (statistics.median(v) for v in (mine, theirs, adds, peaks))
    least = 3 * 2 * n * m * m + 3 * 2 * n * m * d
    value = float(step(hyper, z)[0])
    return [
        (
            "gradient step of the sparse bound, n = 10,000, M = 500, d = 56, against GPyTorch",
            f"{peer / own:.1f} x faster",
            ">= 1.5 x",
            f"{1e3 * own:.0f} against {1e3 * peer:.0f} ms, float32, inducing points' gradient "
            f"included; bounds {value:.1f} and {peer_step():.1f}; medians of {repeats}",
        ),
        (
            "the same, of matrix-product peak",
            f"{100 * least / own / 1e9 / peak:.0f}%",
            "stated",
            f"{least / 1e9:.1f} GFLOP of matrix products at {least / own / 1e9:.0f} GFLOP/s; "
            f"3000 x 3000 products reach {peak:.0f}",
        ),
        (
            "an observation more, same size, against a refit step of GPyTorch",
            f"{peer / one:.0f} x faster",
            ">= 50 x",
            f"{1e3 * one:.2f} against {1e3 * peer:.0f} ms; median of 200, one after the other",
        ),
    ]


def section_seeds() -> list[Row]:
    """Asks of 8 seeds in one call, on one device and on two."""
    import jax
    import jax.numpy as jnp

    from wrlso.bo import BOConfig, optimize
    from wrlso.parallel import over_seeds, plan_seeds, spread

    config = BOConfig(starts=STARTS, candidates=CANDIDATES, bound=BOUND)
    n, d = 500, 25
    surrogates = [
        standard_surrogate(draw_problem(np.random.default_rng(s), n, d)) for s in range(8)
    ]

    def prepare(seeds: int, devices: int) -> Any:
        plan = plan_seeds(seeds, devices)
        stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *surrogates[:seeds])
        lanes = spread(plan, (jnp.arange(seeds), stacked))
        call = jax.jit(
            over_seeds(lambda lane, _: optimize(jax.random.key(lane[0]), lane[1], config)[0], plan)
        )
        return lambda: call(lanes, ()).block_until_ready()

    calls = {key: prepare(*key) for key in ((1, 1), (8, 1), (8, 2))}
    times = {key: [] for key in calls}
    for _ in range(7):
        for key, call in calls.items():
            times[key].append(median_seconds(call, 1))
    one, eight, both = (statistics.median(times[key]) for key in calls)
    return [
        (
            "asks of 8 seeds in one call, against 8 times one seed's",
            f"{eight / (8 * one):.2f} x",
            "<= 1 x",
            f"{1e3 * eight:.0f} against 8 x {1e3 * one:.1f} ms; n = {n}, d = {d}, one device",
        ),
        (
            "the same on 2 virtual devices, against one",
            f"{both / eight:.2f} x",
            "<= 0.7 x",
            f"{1e3 * both:.0f} against {1e3 * eight:.0f} ms; medians of 7, alternating",
        ),
    ]


def section_maximizer() -> list[Row]:
    """Our maximiser against SciPy's L-BFGS-B from the same starts, as judged in float64."""
    import jax
    import jax.numpy as jnp
    from scipy.optimize import minimize

    from wrlso.acquisition import log_expected_improvement
    from wrlso.gp import exact
    from wrlso.maximize import maximize

    @jax.jit
    def climb(gp: Any, starts: Any) -> Any:
        corner = jnp.full(starts.shape[1], BOUND)
        score = lambda x: log_expected_improvement(*exact.predict(gp, x), gp.targets.max())  # noqa: E731
        return maximize(score, starts, -corner, corner).points[0]

    @jax.jit
    def descend(gp: Any, x: Any) -> Any:
        def loss(x: Any) -> Any:
            mean, variance = exact.predict(gp, x[None])
            return -log_expected_improvement(mean, variance, gp.targets.max())[0]

        return jax.value_and_grad(loss)(x)

    good, total, worst = 0, 0, 0.0
    for n, d in ((50, 2), (200, 2), (100, 5), (200, 25), (200, 56)):
        for trial in range(20):
            rng = np.random.default_rng([n, d, trial])
            problem = draw_problem(rng, n, d)
            best = problem["x"][np.argsort(-problem["y"])[: STARTS // 2]]
            starts = np.clip(np.concatenate([rng.normal(size=best.shape), best]), -BOUND, BOUND)
            found = np.asarray(climb(ours(problem), jnp.asarray(starts, jnp.float32)), float)
            with jax.enable_x64(True):
                gp = ours(problem, np.float64)
                theirs = max(
                    -minimize(
                        lambda x, gp=gp: tuple(np.asarray(a) for a in descend(gp, jnp.asarray(x))),
                        start,
                        jac=True,
                        method="L-BFGS-B",
                        bounds=[(-BOUND, BOUND)] * d,
                    ).fun
                    for start in starts
                )
                value = -float(descend(gp, jnp.asarray(found))[0])
            good += value >= theirs + math.log(0.999)
            worst = min(worst, value - theirs)
            total += 1
    return [
        (
            "cases with at least 99.9% of the EI that SciPy's L-BFGS-B finds from the same starts",
            f"{100 * good / total:.0f}%",
            ">= 95%",
            f"{total} problems, (n, d) in (50, 2), (200, 2), (100, 5), (200, 25), (200, 56), 20 "
            f"starts; ours in float32 with 60 evaluations a start, SciPy in float64 to "
            f"convergence; worst {math.exp(worst):.4f}",
        )
    ]


def section_robust() -> list[Row]:
    """10,000 ill-conditioned problems in float32, from standardising to the EI's gradient."""
    import jax
    import jax.numpy as jnp

    from wrlso.acquisition import log_expected_improvement
    from wrlso.gp import exact, sparse
    from wrlso.gp.fit import FitConfig, default_hyperparameters, fit
    from wrlso.gp.kernels import Matern52
    from wrlso.gp.standardize import standardizer

    n, d, config = 24, 3, FitConfig(restarts=2, evaluations=8)

    def improvement(module: Any, gp: Any, query: Any) -> Any:
        return log_expected_improvement(*module.predict(gp, query), 1.0)

    def solve(key: Any, x: Any, y: Any, mask: Any) -> Any:
        units, scale = standardizer(x, mask), standardizer(y, mask)
        u, t = units.apply(x), jnp.where(mask, scale.apply(y), 0.0)
        hyper, density = fit(
            key,
            lambda h: exact.log_marginal_likelihood(
                Matern52(h.lengthscales, h.variance), h.noise, u, t, mask
            ),
            default_hyperparameters(d),
            config,
        )
        kernel = Matern52(hyper.lengthscales, hyper.variance)
        one = exact.condition(kernel, hyper.noise, u, t, mask)
        two = sparse.condition(kernel, hyper.noise, u, t, u[:8], mask)
        bound = sparse.log_marginal_bound(kernel, hyper.noise, u, t, u[:8], mask)
        query = jnp.concatenate([u[:4], jax.random.normal(key, (4, d)), jnp.full((1, d), 1e3)])
        query = jnp.where(jnp.isfinite(query), query, 0.0)
        out = [*jax.tree.leaves(hyper), density, bound]
        variances = []
        for module, gp in ((exact, one), (sparse, two)):
            mean, variance = module.predict(gp, query)
            log_ei = partial(improvement, module, gp)
            out += [mean, variance, log_ei(query), jax.grad(lambda q: log_ei(q).sum())(query)]  # noqa: B023
            variances.append(variance)
        finite = jnp.stack([jnp.isfinite(leaf).all() for leaf in out]).all()
        return finite, jnp.concatenate(variances).min()

    kinds = ("duplicates", "constant", "huge", "tiny", "one point", "all but one masked")

    def draw(rng: np.random.Generator, kind: str) -> tuple[np.ndarray, ...]:
        x, y, mask = rng.normal(size=(n, d)), rng.normal(size=n), np.ones(n, bool)
        if kind == "duplicates":
            rows = rng.integers(3, size=n)
            x, y = x[rows], y[rows] if rng.random() < 0.5 else y
        elif kind == "constant":
            y = np.full(n, rng.normal() * 10.0 ** rng.integers(-3, 4))
        elif kind in ("huge", "tiny"):
            sign = 1 if kind == "huge" else -1
            x, y = (a * 10.0 ** (sign * rng.uniform(10, 30)) for a in (x, y))
        elif kind == "one point":
            x, y = np.repeat(x[:1], n, 0), np.repeat(y[:1], n, 0)
        else:
            mask = np.arange(n) == rng.integers(n)
        return x.astype(np.float32), y.astype(np.float32), mask

    rng = np.random.default_rng(0)
    solve_all = jax.jit(jax.vmap(solve))
    bad, lowest, chunk = 0, math.inf, 500
    for start in range(0, 10_000, chunk):
        parts = [draw(rng, kinds[(start + i) % len(kinds)]) for i in range(chunk)]
        keys = jax.random.split(jax.random.key(start), chunk)
        finite, least = solve_all(keys, *(np.stack(part) for part in zip(*parts, strict=True)))
        bad += int((~finite).sum())
        lowest = min(lowest, float(least.min()))
    return [
        (
            "10,000 ill-conditioned problems, float32: with NaN, infinity or negative variance",
            f"{bad}, least variance {lowest:.1e}",
            "0",
            f"{', '.join(kinds)}; {n} rows, {d} dimensions: fit, exact and sparse posterior and "
            "bound, log EI and its gradient, at data, near and far away",
        )
    ]


SECTIONS = {
    "agreement": section_agreement,
    "ask": section_ask,
    "sparse": section_sparse,
    "seeds": section_seeds,
    "maximizer": section_maximizer,
    "robust": section_robust,
}

if __name__ == "__main__":
    main("benchmarks.gp", "Gaussian processes", __doc__, SECTIONS)
