"""What ``benchmarks.paper`` runs: the paper's grid of methods on each of its tasks."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from wrlso import methods
from wrlso.methods import Method

TASKS = ("shapes", "expressions", "molecules")

HEADLINE = "weighted retraining, k = 0.001, r = 50"

FIRST, SECOND = "the paper's loop", "baselines"


@dataclass(frozen=True)
class Setting:
    """A row of the tables.

    Attributes:
      name: of the row.
      method: what is run.
      budget: charged queries a seed.
      seeds: how many.
      proposer: None for the method's or the task's own.
      family: what it is compared with first: :data:`FIRST` or :data:`SECOND`.
    """

    name: str
    method: Method
    budget: int
    seeds: int
    proposer: str | None = None
    family: str = FIRST

    @property
    def folder(self) -> str:
        """The name as a folder's."""
        short = self.name.replace("weighted retraining", "weighted_retraining")
        return short.replace(", ", ",").replace(" = ", "=").replace(" ", "_")


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
    "expressions": {"noise": 0.1, "alphas": (0.1, 1.0), "epochs": 1.0},
    "molecules": {"noise": 0.1, "alphas": (0.1, 1.0), "epochs": None},
}
"""The protocol's hyperparameters of the baselines, and their passes at each retraining."""


def settings(task: str, scale: Scale, full: bool = True) -> list[Setting]:
    """The grid of a task.

    Args:
      task: one of :data:`TASKS`.
      scale: budgets and seeds.
      full: the whole grid; else the corners of the ablation, and each baseline in the
        configuration that was the best of the published ones on molecules.
    """
    rows = list(_loop(scale, full))
    if task == "shapes":
        # The proposer of the protocol for shapes peeks; this one does not.
        headline = next(row for row in rows if row.name == HEADLINE.replace("50", f"{_r(scale)}"))
        rows.append(replace(headline, name=f"{headline.name}, bo", proposer="bo"))
    return rows + list(_baselines(task, scale, full))


def _r(scale: Scale) -> int:
    return scale.often[0]


def _loop(scale: Scale, full: bool) -> Iterator[Setting]:
    """k in {1e-3, 1e-1, inf} times r in {50, 100, never}; the corners are among them."""
    lso = methods.lso()
    for r in (*scale.often, None):
        for k in (1e-3, 1e-1, None):
            if not full and (r not in (_r(scale), None) or (k == 1e-1 and r is None)):
                continue
            if k is None:
                method = lso if r is None else methods.retrain_only(r)
            else:
                method = methods.weight_only(k) if r is None else methods.weighted_retraining(k, r)
            words = [method.name.replace("_", " ").replace("lso", "LSO")]
            words += [] if k is None else [f"k = {k:g}"]
            words += [] if r is None else [f"r = {r}"]
            yield Setting(", ".join(words), method, scale.budget, scale.seeds)


def _baselines(task: str, scale: Scale, full: bool) -> Iterator[Setting]:
    numbers = _NUMBERS[task]
    quantiles = (0.8, 0.95) if full else (0.95,)
    alphas = numbers["alphas"] if full else numbers["alphas"][-1:]
    for r in scale.seldom if full else scale.seldom[:1]:
        for name in ("dbas", "dbas_reference"):
            yield from _with(
                name,
                [{"quantile": q, "noise": numbers["noise"]} for q in quantiles],
                r,
                scale,
                numbers,
            )
        for name in ("cem_pi", "cem_pi_reference", "fb_vae"):
            yield from _with(name, [{"quantile": q} for q in quantiles], r, scale, numbers)
        yield from _with("rwr", [{"alpha": a} for a in alphas], r, scale, numbers)
    yield Setting(
        "random search",
        methods.random_search(),
        scale.baseline_budget,
        scale.baseline_seeds,
        family=SECOND,
    )


_PRINTED = {
    "dbas": "DbAS",
    "dbas_reference": "DbAS reference",
    "cem_pi": "CEM-PI",
    "cem_pi_reference": "CEM-PI reference",
    "fb_vae": "FB-VAE",
    "rwr": "RWR",
}


def _with(
    name: str,
    choices: Iterable[Mapping[str, float]],
    r: int,
    scale: Scale,
    numbers: Mapping[str, Any],
) -> Iterator[Setting]:
    for choice in choices:
        method = methods.get_method(name).with_options(
            retrain_every=r, epochs=numbers["epochs"], **choice
        )
        shown = {**choice, "r": r}
        words = [f"{key} = {value:g}" for key, value in shown.items() if key != "noise"]
        yield Setting(
            ", ".join([_PRINTED[name], *words]),
            method,
            scale.baseline_budget,
            scale.baseline_seeds,
            family=SECOND,
        )
