"""The paper's methods by name: a weighting, its numbers, and when to retrain."""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from wrlso.loop.retraining import TRAINING_NUMBERS
from wrlso.scores.checks import all_plain, as_number, as_plain
from wrlso.weighting.registry import WEIGHTINGS, Weighting, is_ours, weighting_named


@dataclass(frozen=True)
class Method:
    """A method: how scores become training weights, and when the model is retrained.

    Attributes:
      name: as on the command line (``--method``) and in records.
      summary: one line for ``wrlso methods``.
      weighting: a name in ``wrlso.weightings.WEIGHTINGS``, or a function of your own
        (:class:`wrlso.weightings.Weighting`).
      hyper: the weighting's numbers, such as ``{"k": 1e-3}``; each is positive. For a weighting of
        wrlso these are the numbers that it reads, and no others.
      retrain_every: r, the number of charged queries between retrainings; None to retrain only
        once, before the first query.
      proposer: name of the proposer, where the method has one of its own; None: the task's.
      epochs: passes over the data at every retraining, the first included; None: the task's
        numbers; 0: the model stays as pretrained. Where the weighting counts the last round only
        (the reference forms), passes over that.
      beta: factor of the KL divergence at every retraining; None: the task's. A larger factor
        brings the prior nearer to the data that weigh most, and reconstructs less.
      adaptive_k: true where no k was named: a task may then choose it, see
        ``Task.effective_rows``.
    """

    name: str
    summary: str = ""
    weighting: str | Weighting = "rank"
    hyper: Mapping[str, float] = field(default_factory=dict)
    retrain_every: int | None = 50
    proposer: str | None = None
    epochs: float | None = None
    beta: float | None = None
    adaptive_k: bool = field(default=False, kw_only=True)

    def __post_init__(self) -> None:
        for name in ("retrain_every", "epochs", "beta"):
            object.__setattr__(self, name, as_plain(getattr(self, name)))
        object.__setattr__(self, "hyper", all_plain(self.hyper))

    def with_options(
        self,
        k: float | None = None,
        retrain_every: int | None = None,
        quantile: float | None = None,
        noise: float | None = None,
        alpha: float | None = None,
        epochs: float | None = None,
        beta: float | None = None,
        effective_rows: float | None = None,
    ) -> "Method":
        """This method with other numbers.

        Args:
          k: for methods with rank weights, in (0, inf]: a small k favours the best data, inf weighs
            all alike.
            Default: 1e-3 where the method weights; for molecules the k that gives 2,000 effective
            rows, or a fifth of smaller data.
          retrain_every: r, the number of charged queries between two retrainings, from 1 to the
            budget. Default: the method's own (50 or 200 where it retrains).
          quantile: for dbas, cem_pi and fb_vae: the quantile of scores that is the threshold, in
            (0, 1]. Default: 0.95.
          noise: for dbas: standard deviation of the noise, positive, in units of the score.
            Default: 0.1.
          alpha: for rwr: factor of the score in the exponent, positive, per unit of the score.
            Default: 1.
          epochs: number of passes over the data at every retraining, which may be a fraction.
            Default: the task's own (such as 1 at the first and 0.1 at each later one).
          beta: factor of the KL divergence at every retraining, from 0. A larger factor brings the
            prior nearer to the best data, and reconstructs less. Default: the task's own.
          effective_rows: for methods with rank weights, in place of k: the weights' effective
            sample size, in rows of data. It is held while queries gather.

        Raises:
          ValueError: if the method fixes a number that is to be changed, or does not have it.
        """
        method = self
        for name, value in {"quantile": quantile, "noise": noise, "alpha": alpha}.items():
            if value is None:
                continue
            if name not in self.hyper:
                owners = [m.name for m in METHODS.values() if name in m.hyper]
                raise ValueError(
                    f"method {self.name!r} has no {name}, got {name} = {_shown(value)}; leave it "
                    f"out, or choose {' or '.join(owners)}"
                )
            method = replace(method, hyper={**method.hyper, name: value})
        if k is not None:
            if "k" not in self.hyper:
                raise ValueError(
                    f"method {self.name!r} has no k, got k = {_shown(k)}; leave k out, or "
                    "choose weighted_retraining or weight_only"
                )
            if math.isinf(self.hyper["k"]):
                raise ValueError(
                    f"method {self.name!r} fixes k = inf (uniform weights), got k = {_shown(k)}; "
                    "leave k out, or choose weighted_retraining or weight_only"
                )
            method = replace(method, hyper={**method.hyper, "k": k}, adaptive_k=False)
        if effective_rows is not None:
            method = self._with_effective_rows(method, k, effective_rows)
        changed: dict[str, Any] = {"epochs": epochs, "beta": beta}
        for name, value in changed.items():
            if value is None:
                continue
            if self.epochs == 0:
                raise ValueError(
                    f"method {self.name!r} never trains, got {name} = {_shown(value)}; leave it out"
                )
            method = replace(method, **{name: value})
        if retrain_every is not None:
            if self.retrain_every is None:
                raise ValueError(
                    f"method {self.name!r} never retrains after its first query, got "
                    f"retrain_every = {retrain_every}; leave it out, or choose "
                    "weighted_retraining or retrain_only"
                )
            method = replace(method, retrain_every=retrain_every)
        return method

    def _with_effective_rows(
        self, method: "Method", k: float | None, effective_rows: float
    ) -> "Method":
        """The method with the k of an effective sample size."""
        if k is not None:
            raise ValueError(
                f"effective_rows = {_shown(effective_rows)} chooses k, got k = {_shown(k)} as "
                "well: leave one out"
            )
        if math.isinf(self.hyper.get("k", math.inf)):
            raise ValueError(
                f"method {self.name!r} has no rank weights, got effective_rows = "
                f"{_shown(effective_rows)}; leave it out, or choose weighted_retraining or "
                "weight_only"
            )
        hyper = {"effective_rows": effective_rows}
        return replace(method, weighting="rank_effective", hyper=hyper)


def _shown(value: Any) -> str:
    """A number in few digits, and anything else as Python writes it."""
    return f"{value:g}" if isinstance(as_plain(value), (int, float)) else repr(value)


def check_numbers(method: Method) -> None:
    """Refuse a weighting that is none, and numbers that it cannot have.

    Raises:
      ValueError: naming the method, the number and what it must be.
    """
    hyper, weighting = method.hyper, method.weighting
    if not (isinstance(weighting, str) or callable(weighting)):
        raise ValueError(
            f"weighting of method {method.name!r} must be a name ({', '.join(WEIGHTINGS)}) or a "
            f"function, got {weighting!r}"
        )
    if not isinstance(hyper, Mapping):
        raise ValueError(
            f"hyper of method {method.name!r} must map names to numbers, such as {{'k': 1e-3}}, "
            f"got {hyper!r}"
        )
    for name, value in hyper.items():
        number = as_number(name, value)
        if name in TRAINING_NUMBERS:
            raise ValueError(
                f"hyper of method {method.name!r} has {name} = {number:g}, which is a number of "
                "every retraining: give the weighting's another name. (Method has beta, "
                "RetrainConfig has learning_rate.)"
            )
        if not number > 0:
            raise ValueError(f"{name} must be positive, got {number:g}")
        if name == "quantile" and number > 1:
            raise ValueError(f"quantile must be in (0, 1], got {number:g}")
    function: Any = weighting_named(weighting) if isinstance(weighting, str) else weighting
    reads = _numbers_read(function) if is_ours(function) else set(hyper)
    if reads != set(hyper):
        which = f"weighting {weighting!r}" if isinstance(weighting, str) else "its weighting"
        raise ValueError(
            f"hyper of method {method.name!r} must have the numbers that {which} reads "
            f"({_names(reads)}) and no others, got {_names(hyper)}"
        )


def _names(names: Iterable[str]) -> str:
    return ", ".join(map(str, names)) or "none"


@lru_cache(maxsize=32)
def _numbers_read(weighting: Any) -> frozenset[str]:
    """The names of the numbers that a weighting of ours reads, found by tracing it."""

    def call(number: Array, scores: Array, mask: Array, rounds: Array) -> Array:
        read: defaultdict[str, Array] = defaultdict(lambda: number)
        weights = weighting(scores, mask, rounds, read)
        found.update(read)
        return weights

    found: set[str] = set()
    rows = [jax.ShapeDtypeStruct((3,), kind) for kind in (jnp.float32, bool, jnp.int32)]
    jax.eval_shape(call, jax.ShapeDtypeStruct((), jnp.float32), *rows)
    return frozenset(found)


def lso() -> Method:
    """Latent space optimisation: uniform weights, retraining only before the first query."""
    return METHODS["lso"]


def weight_only(k: float | None = None, effective_rows: float | None = None) -> Method:
    """Rank weights, retraining only before the first query; k as in :func:`weighted_retraining`."""
    return METHODS["weight_only"].with_options(k=k, effective_rows=effective_rows)


def retrain_only(retrain_every: int = 50) -> Method:
    """Uniform weights, retraining every r queries."""
    return METHODS["retrain_only"].with_options(retrain_every=retrain_every)


def weighted_retraining(
    k: float | None = None, retrain_every: int = 50, effective_rows: float | None = None
) -> Method:
    """The paper's method: rank weights, retraining every r queries.

    Without ``k`` it is 1e-3, or what the task chooses (``Task.effective_rows``).
    ``effective_rows`` chooses the k that gives an effective sample size.
    """
    return METHODS["weighted_retraining"].with_options(
        k=k, retrain_every=retrain_every, effective_rows=effective_rows
    )


def dbas(quantile: float = 0.95, noise: float = 0.1, retrain_every: int = 200) -> Method:
    """Design by adaptive sampling, as the paper ran it: pooled data."""
    return METHODS["dbas"].with_options(None, retrain_every, quantile, noise)


def cem_pi(quantile: float = 0.95, retrain_every: int = 200) -> Method:
    """The cross-entropy method with probability of improvement, as the paper ran it."""
    return METHODS["cem_pi"].with_options(None, retrain_every, quantile)


def rwr(alpha: float = 1.0, retrain_every: int = 200) -> Method:
    """Reward-weighted regression."""
    return METHODS["rwr"].with_options(None, retrain_every, alpha=alpha)


def fb_vae(quantile: float = 0.95, retrain_every: int = 200) -> Method:
    """A VAE with feedback of its best samples."""
    return METHODS["fb_vae"].with_options(None, retrain_every, quantile)


def dbas_reference(quantile: float = 0.95, noise: float = 0.1, retrain_every: int = 200) -> Method:
    """DbAS as published: current samples only, ten passes, a threshold that never falls."""
    return METHODS["dbas_reference"].with_options(None, retrain_every, quantile, noise)


def cem_pi_reference(quantile: float = 0.95, retrain_every: int = 200) -> Method:
    """CEM-PI as published: current samples only, ten passes, a threshold that never falls."""
    return METHODS["cem_pi_reference"].with_options(None, retrain_every, quantile)


def random_search() -> Method:
    """Samples of the pretrained model's prior."""
    return METHODS["random_search"]


def get_method(name: str) -> Method:
    """A method by name.

    Raises:
      ValueError: if there is none, listing those there are.
    """
    if name not in METHODS:
        raise ValueError(f"unknown method {name!r}; there are: {', '.join(METHODS)}")
    return METHODS[name]


METHODS: dict[str, Method] = {
    method.name: method
    for method in (
        Method("lso", "uniform weights, retrain once, at first", "rank", {"k": math.inf}, None),
        Method("weight_only", "rank weights, retrain once, at first", "rank", {"k": 1e-3}, None,
               adaptive_k=True),
        Method("retrain_only", "uniform weights, retrain every r", "rank", {"k": math.inf}),
        Method("weighted_retraining", "rank weights, retrain every r", "rank", {"k": 1e-3},
               adaptive_k=True),
        *(
            Method(name, summary, weighting, hyper, 200, "prior", *passes)
            for name, summary, weighting, hyper, *passes in (
                ("dbas", "weights: how likely a noisy score is above a quantile of all data",
                 "dbas", {"quantile": 0.95, "noise": 0.1}),
                ("cem_pi", "equal weights above a quantile of all data",
                 "cem_pi", {"quantile": 0.95}),
                ("rwr", "weights exp(alpha * score)", "rwr", {"alpha": 1.0}),
                ("fb_vae", "new points above a quantile replace the oldest data",
                 "feedback", {"quantile": 0.95}),
                ("dbas_reference", "dbas on the last round only, a threshold that never falls",
                 "dbas_reference", {"quantile": 0.95, "noise": 0.1}, 10.0),
                ("cem_pi_reference", "cem_pi on the last round only, a threshold that never falls",
                 "cem_pi_reference", {"quantile": 0.95}, 10.0),
            )
        ),
        Method("random_search", "samples of the prior of the model as pretrained", "uniform", {},
               None, "prior", epochs=0),
    )
}  # fmt: skip
"""All methods by name. The first four are the corners of the paper's ablation; those after them
sample from the prior, unless another proposer is named."""
