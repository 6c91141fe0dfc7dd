"""What ``benchmarks.paper`` runs: the paper's grid of methods on each of its tasks."""

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from wrlso import methods
from wrlso.methods import Method

TASKS = ("shapes", "expressions", "molecules")

LOOP, BASELINES = "the paper's loop", "baselines"


@dataclass(frozen=True)
class Setting:
    """A row of the tables.

    Attributes:
      name: of the row.
      method: what is run.
      budget: charged queries a seed.
      seeds: how many.
      proposer: None for the method's or the task's own.
      family: in which table it stands: :data:`LOOP` or :data:`BASELINES`.
      headline: whether the others are compared with it.
    """

    name: str
    method: Method
    budget: int
    seeds: int
    proposer: str | None = None
    family: str = LOOP
    headline: bool = False

    @property
    def folder(self) -> str:
        """The name as a folder's."""
        return self.name.replace(", ", ",").replace(" = ", "=").replace(" ", "_")


@dataclass(frozen=True)
class Scale:
    """How much is run: budgets and frequencies of the two families, and seeds."""

    budget: int = 500
    often: tuple[int, ...] = (50, 100)
    baseline_budget: int = 5000
    seldom: tuple[int, ...] = (200, 500)
    seeds: int = 5
    baseline_seeds: int = 5


QUICK = Scale(20, (10, 20), 40, (20, 40), 2, 2)
"""To see whether everything works."""

_NUMBERS: Mapping[str, Mapping[str, Any]] = {
    "shapes": {"noise": 10.0, "alphas": (1e-3, 1e-2), "epochs": 1.0},
    "expressions": {"noise": 0.1, "alphas": (0.1, 1.0), "epochs": None},
    "molecules": {"noise": 0.1, "alphas": (0.1, 1.0), "epochs": None, "betas": (None, 1.0)},
}
"""The protocol's hyperparameters of the baselines, their passes at each retraining, and their
factors of the KL there: None for what the paper's loop has on the task, too. The reference forms
have passes of their own. The loop encodes data, the baselines only sample the prior, which on
molecules hardly moves with the loop's small factor: there they have the ELBO itself, too."""


def settings(task: str, scale: Scale, full: bool = True) -> list[Setting]:
    """The grid of a task.

    Args:
      task: one of :data:`TASKS`.
      scale: budgets and seeds.
      full: the whole grid; else the corners of the ablation, k = 0.1, and each baseline in the
        configuration that was the best of the published ones on molecules.
    """
    rows = list(_loop(scale, full))
    if task == "shapes":
        rows += _without_peeking(scale)
    return rows + list(_baselines(task, scale, full))


def _without_peeking(scale: Scale) -> Iterator[Setting]:
    """The headline on shapes with ``bo``, as the protocol's proposer there reads the objective
    without charge: with the protocol's tenth of a pass at each retraining, with the whole pass that
    the protocol gives the baselines, and with as many of these as they have."""
    k, usual = 1e-3, scale.often[0]
    as_often = scale.budget * scale.seldom[0] // scale.baseline_budget
    rows = {}
    for r, epochs in ((usual, None), (usual, 1.0), (as_often, 1.0)):
        name = f"weighted retraining, k = {k:g}, r = {r}, bo" + (", 1 epoch" if epochs else "")
        rows[name] = methods.weighted_retraining(k, r).with_options(epochs=epochs)
    for name, method in rows.items():
        yield Setting(name, method, scale.budget, scale.seeds, "bo", headline=True)


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
    budget: dict[str, Any] = {
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
                yield Setting(", ".join([printed, *words]), method, **budget)
    yield Setting("random search", methods.random_search(), **budget)
