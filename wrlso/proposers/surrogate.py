"""The surrogate of Algorithm 1: a Gaussian process from latent points to scores.

It is fitted after each retraining to data that the current model encodes. Between retrainings it
learns each query at fixed hyperparameters. The exact process serves some thousand points, the
sparse one more.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from numbers import Real
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.typing import ArrayLike

from wrlso.data import Dataset
from wrlso.gp import exact, sparse
from wrlso.gp.fit import FitConfig, Hyperparameters, default_hyperparameters, fit
from wrlso.gp.kernels import KERNELS, Stationary
from wrlso.gp.standardize import Standardizer, standardizer
from wrlso.models.vae import VAE, encode_all
from wrlso.proposers.base import Observations, Prediction, View
from wrlso.proposers.held_out import HeldOutFit, held_out_fit
from wrlso.proposers.own_queries import Penalty, current_latents, own_scores
from wrlso.scores import constant_less
from wrlso.scores.checks import as_plain, as_whole

_HELD_OUT = 500
"""Maximum number of base objects on which the fit is measured, and at most a quarter of the random
ones."""

_COLLAPSED = 0.1
"""Least standard deviation of a latent dimension's encodings, a tenth of the prior's. With less,
the box of the prior would be endless in units of the encodings."""


@dataclass(frozen=True)
class SurrogateConfig:
    """The kind of surrogate, and the data that it sees. All static.

    Attributes:
      kind: ``"exact"``, O(n^3) per fit step, or ``"sparse"``, O(n M^2).
      kernel: a name in ``wrlso.gp.kernels.KERNELS``.
      best: number of distinct base objects of highest score that it always sees.
      random: number of further distinct base objects, drawn anew at each fit. The seed's own
        queries are always seen, all of them.
      inducing: M, for the sparse process: a quarter are the data of highest score, the others
        centres of clusters.
      fit: priors, bounds and effort of the fit of hyperparameters.
      inversion: number of steps of ``wrlso.models.inversion`` for each of the seed's queries whose
        point decodes to something else since the model was retrained; 0: the query stands at its
        object's encoding, whatever that decodes to.
      penalty: the score that a failed query counts as; ``"lowest"``: the lowest score that the
        surrogate knows; None: failures are left out, so that nothing is learned from them. A number
        in ``Task.bo`` has the task's own sign. In a proposer that you make yourself, higher is
        better: negate it where the task minimises.

    Raises:
      ValueError: if a name is unknown, or a number is out of range or not whole.
    """

    kind: Literal["exact", "sparse"] = "exact"
    kernel: str = "matern52"
    best: int = 50
    random: int = 200
    inducing: int = 500
    fit: FitConfig = field(default_factory=FitConfig)
    inversion: int = 0
    penalty: Penalty = None

    def __post_init__(self) -> None:
        if self.kind not in ("exact", "sparse"):
            raise ValueError(f"kind must be 'exact' or 'sparse', got {self.kind!r}")
        if self.kernel not in KERNELS:
            raise ValueError(f"unknown kernel {self.kernel!r}; there are: {', '.join(KERNELS)}")
        for name in ("best", "random", "inducing", "inversion"):
            object.__setattr__(self, name, as_whole(name, getattr(self, name)))
        if min(self.best, self.inducing) < 1 or min(self.random, self.inversion) < 0:
            raise ValueError(
                "best and inducing must be at least 1, random and inversion not negative, got "
                f"best = {self.best}, inducing = {self.inducing}, random = {self.random}, "
                f"inversion = {self.inversion}"
            )
        penalty = as_plain(self.penalty)
        is_number = isinstance(penalty, Real) and not isinstance(penalty, bool)
        named = penalty is None or (isinstance(penalty, str) and penalty == "lowest")
        if not (named or (is_number and math.isfinite(penalty))):
            raise ValueError(f"penalty must be a finite number, 'lowest' or None, got {penalty!r}")
        object.__setattr__(self, "penalty", penalty)


class Surrogate(NamedTuple):
    """A posterior for one round. Latents and scores inside it are in standard units.

    Attributes:
      gp: the Gaussian process.
      latent_units: to and from standard units of the latents.
      score_units: to and from standard units of the scores.
      latents: ``[n, d]`` of all that it knows, with empty rows for later observations.
      scores: ``[n]``.
      mask: ``[n]``, true for rows in use.
      best: ``[]``, the best score among them.
      next: ``[]``, the row that the next observation fills.
      held_out: how well it predicts some random base objects, conditioned without them; its
        hyperparameters have seen them.
      offset: ``[]``, what was subtracted from the task's scores.
    """

    gp: exact.ExactGP | sparse.SparseGP
    latent_units: Standardizer
    score_units: Standardizer
    latents: Array
    scores: Array
    mask: Array
    best: Array
    next: Array
    held_out: HeldOutFit
    offset: ArrayLike = 0.0


def _gp_type() -> Any:
    return jnp.result_type(float)  # float64 where it is enabled


def initial_memory(vae: VAE, config: SurrogateConfig) -> Hyperparameters:
    """Hyperparameters to start the first fit from."""
    return default_hyperparameters(vae.latent_dim, config.fit, _gp_type())


def fit_surrogate(
    key: Array,
    view: View,
    memory: Hyperparameters,
    *,
    vae: VAE,
    config: SurrogateConfig,
    max_observations: int,
) -> tuple[Hyperparameters, Surrogate]:
    """Choose data, encode them, fit hyperparameters, condition.

    Args:
      key: typed PRNG key.
      view: the model and the data.
      memory: hyperparameters of the last fit, to start from.
      vae: the model (static).
      config: see :class:`SurrogateConfig` (static).
      max_observations: maximum number of observations before the next fit; later ones are ignored
        (static).

    Returns:
      The hyperparameters and the surrogate.
    """
    row_key, fit_key, cluster_key = jax.random.split(key, 3)
    rows, real = choose_rows(row_key, view.base, view.distinct, config.best, config.random)
    own_z, aligned = current_latents(vae, view.params, view.history, config.inversion)
    z = jnp.concatenate([own_z, encode_all(vae, view.params, view.base.objects[rows])])
    base_scores = view.base.scores[rows]
    lowest = jnp.where(real, base_scores, jnp.inf).min()
    own, usable = own_scores(view, aligned, config.penalty, lowest)
    scores = jnp.concatenate([own, base_scores])
    z, scores = (a.astype(_gp_type()) for a in (z, scores))
    mask = jnp.concatenate([usable, real]) & jnp.isfinite(z).all(1) & jnp.isfinite(scores)
    latent_units = standardizer(z, mask, least=_COLLAPSED)
    score_units = standardizer(scores, mask)
    x = jnp.where(mask[:, None], latent_units.apply(z), 0.0)
    y = jnp.where(mask, score_units.apply(scores), 0.0)

    x_all, y_all, mask_all = (_pad(a, max_observations) for a in (x, y, mask))
    inducing = _inducing(cluster_key, x, y, mask, min(config.inducing, len(x)))

    def evidence(hyper: Hyperparameters) -> Array:
        kernel = _kernel(config, hyper)
        if config.kind == "exact":
            return exact.log_marginal_likelihood(kernel, hyper.noise, x, y, mask)
        return sparse.log_marginal_bound(kernel, hyper.noise, x, y, inducing, mask)

    hyper, _ = fit(fit_key, evidence, memory, config.fit)
    kernel = _kernel(config, hyper)

    def condition(x: Array, y: Array, mask: Array) -> exact.ExactGP | sparse.SparseGP:
        if config.kind == "exact":
            return exact.condition(kernel, hyper.noise, x, y, mask)
        return sparse.condition(kernel, hyper.noise, x, y, inducing, mask)

    # The sparse posterior has no rows of its own.
    gp = condition(x_all, y_all, mask_all) if config.kind == "exact" else condition(x, y, mask)
    random = max(len(rows) - config.best, 0)  # the last ones may be no rows
    held = slice(len(x) - random, len(x) - random + min(_HELD_OUT, random // 4))
    without = condition(x, y, mask.at[held].set(False))
    best = jnp.where(mask, y, -jnp.inf).max()
    return hyper, Surrogate(
        gp,
        latent_units,
        score_units,
        x_all,
        y_all,
        mask_all,
        best,
        jnp.int32(len(x)),
        held_out_fit(_predict(without, x[held])[0], y[held], mask[held]),
        jnp.asarray(view.offset, scores.dtype),
    )


def measures(surrogate: Surrogate) -> dict[str, Array]:
    """The numbers of a fit that are logged with its round."""
    return {"fit_r2": surrogate.held_out.r2, "fit_spearman": surrogate.held_out.spearman}


def _inducing(key: Array, x: Array, y: Array, mask: Array, n: int) -> Array:
    """Inducing points ``[n, d]``: a quarter where the scores are highest, the others in the centres
    of clusters of all data. A single point that scores far above its neighbours, as the best one
    does, would be smoothed away between centres."""
    _, best = lax.top_k(jnp.where(mask, y, -jnp.inf), n // 4)
    return jnp.concatenate([x[best], sparse.k_means(key, x, n - n // 4, mask)])


def _pad(rows: Array, more: int) -> Array:
    return jnp.pad(rows, [(0, more)] + [(0, 0)] * (rows.ndim - 1))


def predict(surrogate: Surrogate, x: Array) -> tuple[Array, Array]:
    """Mean and variance ``[s]`` at ``x [s, d]``, all in standard units."""
    return _predict(surrogate.gp, x)


def _predict(gp: exact.ExactGP | sparse.SparseGP, x: Array) -> tuple[Array, Array]:
    return exact.predict(gp, x) if isinstance(gp, exact.ExactGP) else sparse.predict(gp, x)


def predict_scores(surrogate: Surrogate, latents: Array) -> Prediction:
    """The scores that would be observed at ``latents [q, d]``, noise included."""
    mean, variance = predict(surrogate, surrogate.latent_units.apply(latents))
    units = surrogate.score_units
    deviation = units.deviation * jnp.sqrt(variance + surrogate.gp.noise)
    return Prediction(units.invert(mean), deviation)


def predict_with_covariance(
    surrogate: Surrogate, x: Array
) -> tuple[Array, Array, Callable[[Array], Array]]:
    """Mean and variance ``[s]`` at ``x [s, d]``, and the covariance ``[s]`` of all with one row."""
    if isinstance(surrogate.gp, exact.ExactGP):
        return exact.predict_with_covariance(surrogate.gp, x)
    return sparse.predict_with_covariance(surrogate.gp, x)


def predict_joint(surrogate: Surrogate, x: Array) -> tuple[Array, Array]:
    """Mean ``[s]`` and covariance ``[s, s]`` at ``x [s, d]``, all in standard units."""
    if isinstance(surrogate.gp, exact.ExactGP):
        return exact.predict_joint(surrogate.gp, x)
    return sparse.predict_joint(surrogate.gp, x)


def add(surrogate: Surrogate, x: Array, y: Array) -> Surrogate:
    """Learn one more observation ``x [d]``, ``y []`` in standard units.

    Nothing is learned where ``y`` is not finite, or no row is left for it.
    """
    n = surrogate.scores.shape[0]
    known = jnp.isfinite(y) & jnp.isfinite(x).all() & (surrogate.next < n)
    x, y = jnp.where(known, x, 0.0), jnp.where(known, y, 0.0)
    slot = jnp.where(known, surrogate.next, n)
    old = surrogate.gp
    if isinstance(old, exact.ExactGP):
        gp: Any = exact.add(old, slot, x, y)
    else:
        more = sparse.add(old, x, y)
        gp = jax.tree.map(lambda new, kept: jnp.where(known, new, kept), more, old)
    return surrogate._replace(
        gp=gp,
        latents=surrogate.latents.at[slot].set(x, mode="drop"),
        scores=surrogate.scores.at[slot].set(y, mode="drop"),
        mask=surrogate.mask.at[slot].set(True, mode="drop"),
        best=jnp.where(known, jnp.maximum(surrogate.best, y), surrogate.best),
        next=surrogate.next + known.astype(jnp.int32),
    )


def fantasize(surrogate: Surrogate, x: Array) -> Surrogate:
    """A fantasy: the posterior as if ``x [d]`` had scored its mean.

    The known data and their best score stay as they are.
    """
    mean, _ = predict(surrogate, x[None])
    fantasy = add(surrogate, x, mean[0])
    return surrogate._replace(gp=fantasy.gp, next=fantasy.next)


def observe(
    surrogate: Surrogate,
    observations: Observations,
    *,
    penalty: Penalty = None,
) -> Surrogate:
    """Add what a batch taught, at fixed hyperparameters; ``penalty`` as in the configuration.

    A refused point is added as a fantasy: the score that is expected there.
    """
    x = surrogate.latent_units.apply(observations.latents)
    y = surrogate.score_units.apply(observations.scores)
    if penalty == "lowest":
        y = jnp.where(
            observations.failed, jnp.where(surrogate.mask, surrogate.scores, jnp.inf).min(), y
        )
    elif penalty is not None:
        worth = surrogate.score_units.apply(
            constant_less(penalty, surrogate.offset).astype(y.dtype)
        )
        y = jnp.where(observations.failed, worth, y)

    def learn(known: Surrogate, row: tuple[Array, Array, Array]) -> tuple[Surrogate, None]:
        x, y, refused = row
        y = jnp.where(refused, predict(known, x[None])[0][0], y)
        more = add(known, x, y)
        # A fantasy is no score: it is neither the best one nor good data.
        best = jnp.where(refused, known.best, more.best)
        return more._replace(mask=jnp.where(refused, known.mask, more.mask), best=best), None

    return lax.scan(learn, surrogate, (x, y, observations.refused))[0]


def choose_rows(
    key: Array, base: Dataset, distinct: Array, best: int, random: int
) -> tuple[Array, Array]:
    """The ``best`` rows of highest score and ``random`` others, no object twice, none without a
    finite score.

    Returns:
      Rows ``[n]`` with ``n = min(best + random, N)``, and which of them are real
      ``[n]``: false once the distinct objects are used up.
    """
    n = base.scores.shape[0]
    best = min(best, n)
    distinct = distinct & jnp.isfinite(base.scores)
    _, top = lax.top_k(jnp.where(distinct, base.scores, -jnp.inf), best)
    drawn = jnp.where(distinct, jax.random.uniform(key, (n,), jnp.float32), -1.0).at[top].set(-1.0)
    luck, others = lax.top_k(drawn, min(random, n - best))
    return jnp.concatenate([top, others]), jnp.concatenate([distinct[top], luck >= 0])


def _kernel(config: SurrogateConfig, hyper: Hyperparameters) -> Stationary:
    return KERNELS[config.kernel](hyper.lengthscales, hyper.variance)
