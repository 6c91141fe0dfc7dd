"""Gaussian processes and asks: agreement with peers, speed against them, robustness.

    python -m benchmarks.speed.gp [--only agreement ask sparse seeds maximizer robust]

Peers: GPyTorch, BoTorch, GPJax, scikit-learn, SciPy (extra 'benchmarks'). Every section runs in a
process of its own, on all cores; compared libraries take turns. Writes benchmarks/results/gp.md and
gp.csv. Ratios carry over to another machine, times do not.
"""

import math
import statistics
import time
from typing import Any

import numpy as np

from benchmarks.speed.gp_problems import draw_problem, gpytorch_model, ours, standard_surrogate
from benchmarks.speed.gp_robust import section_robust
from benchmarks.speed.gp_sparse import section_sparse
from benchmarks.speed.harness import Row, main, median_seconds

STARTS, CANDIDATES, BOUND = 20, 256, 3.0


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
    """EI maximised from 20 starts against BoTorch's optimize_acqf, judged by BoTorch in float64."""
    return [compare_asks(n, d) for n in (200, 2000) for d in (2, 25, 56)]


def compare_asks(n: int, d: int, problems: int = 3, rounds: int = 2) -> Row:
    """Both libraries ask in turn about the same posteriors, which are conditioned beforehand."""
    import jax

    from wrlso.proposers.bayesian import optimize
    from wrlso.proposers.bo_config import BOConfig

    config = BOConfig(starts=STARTS, candidates=CANDIDATES, bound=BOUND)
    drawn = [draw_problem(np.random.default_rng([n, d, trial]), n, d) for trial in range(problems)]
    surrogates = [standard_surrogate(problem) for problem in drawn]
    start = time.perf_counter()
    ask = jax.jit(lambda key, surrogate: optimize(key, surrogate, config)[0])
    ask = ask.lower(jax.random.key(0), surrogates[0]).compile()
    compiling = time.perf_counter() - start
    judges, peers = zip(*(botorch_ask(problem) for problem in drawn), strict=True)
    peers[0](0)  # the first call of all is slower
    mine, theirs, gains = [], [], []
    for number in range(rounds):
        for surrogate, judge, peer in zip(surrogates, judges, peers, strict=True):
            start = time.perf_counter()
            best = peer(number)
            theirs.append(time.perf_counter() - start)
            call = lambda s=surrogate: ask(jax.random.key(number), s)  # noqa: B023, E731
            gains.append(judge(np.asarray(call())) - best)
            mine.append(median_seconds(lambda c=call: c().block_until_ready(), 5))
    speed = statistics.median(b / a for a, b in zip(mine, theirs, strict=True))
    return (
        f"one ask, n = {n}, d = {d}, against BoTorch",
        f"{speed:.1f} x faster, EI {math.exp(statistics.median(gains)):.4f} x, minimum "
        f"{math.exp(min(gains)):.4f} x",
        ">= 5 x, EI >= 1 x",
        f"{1e3 * statistics.median(mine):.1f} against {1e3 * statistics.median(theirs):.0f} ms, "
        f"after compiling once in {compiling:.1f} s; BoTorch in float64, as it advises; EI ratios "
        + ", ".join(f"{math.exp(min(g, 50)):.4f}" for g in gains)
        + f"; {problems} problems, {rounds} keys each",
    )


def botorch_ask(problem: dict[str, Any]) -> tuple[Any, Any]:
    """The log EI as a function of a point, and an ask that returns the best log EI it found."""
    import torch
    from botorch.acquisition import LogExpectedImprovement
    from botorch.optim import optimize_acqf

    d = problem["x"].shape[1]
    model = gpytorch_model(problem, torch.float64)
    log_ei = LogExpectedImprovement(model, best_f=problem["y"].max())
    box = torch.tensor([[-BOUND] * d, [BOUND] * d], dtype=torch.float64)

    def judge(point: np.ndarray) -> float:
        with torch.no_grad():
            return log_ei(torch.tensor(point, dtype=torch.float64)[None]).item()

    def ask(seed: int) -> float:
        torch.manual_seed(seed)
        _, best = optimize_acqf(log_ei, box, q=1, num_restarts=STARTS, raw_samples=CANDIDATES)
        return best.item()

    judge(np.zeros(d))  # fills the model's caches before any clock starts
    return judge, ask


def section_seeds() -> list[Row]:
    """Asks of 8 seeds in one call, on one device and on two."""
    import jax
    import jax.numpy as jnp

    from wrlso.parallel import over_seeds, plan_seeds, spread
    from wrlso.proposers.bayesian import optimize
    from wrlso.proposers.bo_config import BOConfig

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
            "asks of 8 seeds in one call, against 8 times the ask of one seed",
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
    """Our maximiser against SciPy's L-BFGS-B from the same starts, judged in float64."""
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
            "starts; ours in float32 with 60 evaluations per start, and a climb that converges "
            "earlier continues from a new point; SciPy in float64 to convergence; worst "
            f"{math.exp(worst):.4f}",
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
    main("benchmarks.speed.gp", "gp", "Gaussian processes", __doc__, SECTIONS)
