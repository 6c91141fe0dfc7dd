"""The paper's grid of methods on each of its tasks, and the rows beyond it."""

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from wrlso import methods
from wrlso.methods import Method

TASKS = ("shapes", "expressions", "molecules")

LOOP, FURTHER, BASELINES = "the paper's loop", "beyond the paper's grid", "baselines"
"""Families of rows. Each has a table of its own."""


@dataclass(frozen=True)
class Setting:
    """A row of the tables.

    Attributes:
      name: name of the row.
      method: the method.
      budget: maximum number of charged queries per seed.
      seeds: number of seeds.
      proposer: name of the proposer; None: the method's or the task's own.
      gradient_of: what a proposer that follows gradients follows; None: its default.
      family: the table that the row stands in: :data:`LOOP`, :data:`FURTHER` or :data:`BASELINES`.
      headline: true if the other rows are compared with this one.
    """

    name: str
    method: Method
    budget: int
    seeds: int
    proposer: str | None = None
    gradient_of: Literal["regressor", "objective"] | None = None
    family: str = LOOP
    headline: bool = False

    @property
    def folder(self) -> str:
        """The name in a form that can name a folder."""
        return self.name.replace(", ", ",").replace(" = ", "=").replace(" ", "_")


@dataclass(frozen=True)
class Scale:
    """Size of a grid: budget, values of r and number of seeds of the loop and of the baselines."""

    budget: int = 500
    often: tuple[int, ...] = (50, 100)
    baseline_budget: int = 5000
    seldom: tuple[int, ...] = (200, 500)
    seeds: int = 5
    baseline_seeds: int = 5

    def with_seeds(self, seeds: int) -> "Scale":
        """The same with this number of seeds for every method."""
        return replace(self, seeds=seeds, baseline_seeds=seeds)


QUICK = Scale(20, (10, 20), 40, (20, 40), 2, 2)
"""A small grid, to see whether everything works."""

_NUMBERS: Mapping[str, Mapping[str, Any]] = {
    "shapes": {"noise": 10.0, "alphas": (1e-3, 1e-2), "epochs": 1.0},
    "expressions": {"noise": 0.1, "alphas": (0.1, 1.0), "epochs": None},
    "molecules": {"noise": 0.1, "alphas": (0.1, 1.0), "epochs": None, "betas": (None, 1.0)},
}
"""The protocol's hyperparameters of the baselines: passes at each retraining and factors of the KL
divergence among them. None stands for the value of the paper's loop on the task. The reference
forms have their own number of passes. The baselines sample the prior, and on molecules the loop's
small factor hardly moves it, so they have the ELBO itself there, too (beta = 1)."""


def settings(task: str, scale: Scale, full: bool = True, further: bool = False) -> list[Setting]:
    """The grid of a task.

    Args:
      task: one of :data:`TASKS`.
      scale: budgets and seeds.
      full: true for the whole grid; false for the corners of the ablation, k = 0.1, and each
        baseline in its best published configuration on molecules.
      further: add the rows beyond the paper's grid, which shapes alone has.
    """
    rows = list(_loop(scale, full))
    if task == "shapes":
        rows += _without_peeking(scale)
        rows += _further(scale) if further else []
    return rows + list(_baselines(task, scale, full))


def _without_peeking(scale: Scale) -> Iterator[Setting]:
    """The headline on shapes with ``bo``.

    The protocol's proposer there reads the objective without being charged. The rows have the
    protocol's tenth of a pass at each retraining, the whole pass of the baselines, and a whole pass
    at as many retrainings as the baselines have.
    """
    k, usual = 1e-3, scale.often[0]
    as_often = scale.budget * scale.seldom[0] // scale.baseline_budget
    rows = {}
    for r, epochs in ((usual, None), (usual, 1.0), (as_often, 1.0)):
        name = f"weighted retraining, k = {k:g}, r = {r}, bo" + (", 1 epoch" if epochs else "")
        rows[name] = methods.weighted_retraining(k, r).with_options(epochs=epochs)
    for name, method in rows.items():
        yield Setting(name, method, scale.budget, scale.seeds, "bo", headline=True)


def _further(scale: Scale) -> Iterator[Setting]:
    """Shapes beyond the paper's grid: r = 5, LSO with ``bo``, proposers that follow gradients."""
    k, r = 1e-3, scale.often[0]
    often = methods.weighted_retraining(k, 5)
    size: dict[str, Any] = {"budget": scale.budget, "seeds": scale.seeds, "family": FURTHER}
    yield Setting(f"weighted retraining, k = {k:g}, r = 5", often, **size)
    yield Setting("LSO, bo", methods.lso(), **size, proposer="bo")
    usual = methods.weighted_retraining(k, r)
    ways = ("latent_ascent", "data_ascent", "generator")
    sources: tuple[Literal["regressor", "objective"], ...] = ("regressor", "objective")
    for source, way in itertools.product(sources, ways):
        name = f"weighted retraining, k = {k:g}, r = {r}, {way} on the {source}"
        yield Setting(name, usual, **size, proposer=way, gradient_of=source)


def _loop(scale: Scale, full: bool) -> Iterator[Setting]:
    """k in {1e-3, 1e-1, inf} times r in {50, 100, never}; the corners are among them."""
    usual = scale.often[0]
    for r in (*scale.often, None):
        for k in (1e-3, 1e-1, None):
            if not full and (r not in (usual, None) or (k == 1e-1 and r is None)):
                continue
            if k is None:
                method = methods.lso() if r is None else methods.retrain_only(r)
            else:
                method = methods.weight_only(k) if r is None else methods.weighted_retraining(k, r)
            words = [method.name.replace("_", " ").replace("lso", "LSO")]
            words += [] if k is None else [f"k = {k:g}"]
            words += [] if r is None else [f"r = {r}"]
            headline = (k, r) == (1e-3, usual)
            yield Setting(", ".join(words), method, scale.budget, scale.seeds, headline=headline)


def _baselines(task: str, scale: Scale, full: bool) -> Iterator[Setting]:
    numbers = _NUMBERS[task]
    quantiles = [{"quantile": q} for q in ((0.8, 0.95) if full else (0.95,))]
    noisy = [{**chosen, "noise": numbers["noise"]} for chosen in quantiles]
    alphas = [{"alpha": a} for a in (numbers["alphas"] if full else numbers["alphas"][-1:])]
    size: dict[str, Any] = {
        "budget": scale.baseline_budget,
        "seeds": scale.baseline_seeds,
        "family": BASELINES,
    }
    betas = numbers.get("betas", (None,))
    for r in scale.seldom if full else scale.seldom[:1]:
        for printed, choices in (
            ("DbAS", noisy),
            ("DbAS reference", noisy),
            ("CEM-PI", quantiles),
            ("CEM-PI reference", quantiles),
            ("FB-VAE", quantiles),
            ("RWR", alphas),
        ):
            for chosen, beta in itertools.product(choices, betas):
                name = printed.lower().replace("-", "_").replace(" ", "_")
                epochs = None if printed.endswith("reference") else numbers["epochs"]
                method = methods.get_method(name).with_options(
                    retrain_every=r, epochs=epochs, beta=beta, **chosen
                )
                shown = {**chosen, "r": r} | ({} if beta is None else {"beta": beta})
                words = [f"{key} = {value:g}" for key, value in shown.items()]
                yield Setting(", ".join([printed, *words]), method, **size)
    yield Setting("random search", methods.random_search(), **size)
