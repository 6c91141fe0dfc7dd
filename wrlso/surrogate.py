"""The surrogate of Algorithm 1: a Gaussian process from latent points to scores.

Fitted once a retraining to data encoded by the current model, then told of each
query at fixed hyperparameters. Exact for some thousand points, sparse beyond.
"""

import math
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax

from wrlso.data import Acquired, Dataset, Status, in_use
from wrlso.gp import exact, sparse
from wrlso.gp.fit import FitConfig, Hyperparameters, default_hyperparameters, fit
from wrlso.gp.kernels import KERNELS, Stationary
from wrlso.gp.standardize import Standardizer, standardizer
from wrlso.identity import fingerprint
from wrlso.inversion import invert
from wrlso.propose import Told, View, decode_all, encode_all
from wrlso.vae import VAE

_COLLAPSED = 0.1
"""A latent dimension whose encodings spread less than this, a tenth of the prior, is taken to
spread this much: else the box of the prior would be endless in its units."""


@dataclass(frozen=True)
class SurrogateConfig:
    """What the surrogate is, and which data it sees. All static.

    Attributes:
      kind: ``"exact"``, O(n^3) a fit step, or ``"sparse"``, O(n M^2).
      kernel: a name in ``gp.kernels.KERNELS``.
      best: distinct base objects of highest score that it always sees.
      random: further distinct base objects, drawn anew at each fit. The seed's own
        queries are always seen, all of them.
      inducing: M, for the sparse GP: a quarter are the data of highest score, the others
        centres of clusters.
      fit: priors, bounds and effort of the hyperparameters' fit.
      inversion: steps of ``wrlso.inversion`` for each of the seed's queries whose point decodes to
        something else since the model was retrained; 0: it stands at its object's encoding,
        whatever that decodes to.
      penalty: the score that a failed query counts as; ``"lowest"``: the lowest that the
        surrogate knows; None to leave failures out, so that nothing is learnt from them.
    """

    kind: Literal["exact", "sparse"] = "exact"
    kernel: str = "matern52"
    best: int = 50
    random: int = 200
    inducing: int = 500
    fit: FitConfig = field(default_factory=FitConfig)
    inversion: int = 0
    penalty: float | Literal["lowest"] | None = None

    def __post_init__(self) -> None:
        if self.kind not in ("exact", "sparse"):
            raise ValueError(f"kind must be 'exact' or 'sparse', got {self.kind!r}")
        if self.kernel not in KERNELS:
            raise ValueError(f"unknown kernel {self.kernel!r}; there are: {', '.join(KERNELS)}")
        if min(self.best, self.inducing) < 1 or min(self.random, self.inversion) < 0:
            raise ValueError(
                "best and inducing must be at least 1, random and inversion not negative, got "
                f"best = {self.best}, inducing = {self.inducing}, random = {self.random}, "
                f"inversion = {self.inversion}"
            )
        penalty = self.penalty
        if not (penalty is None or penalty == "lowest" or math.isfinite(float(penalty))):
            raise ValueError(f"penalty must be a finite number, 'lowest' or None, got {penalty!r}")


class Surrogate(NamedTuple):
    """A posterior for a round. Latents and scores inside it are in standard units.

    ``gp``; ``latent_units`` and ``score_units`` to and from standard units; all that it
    knows, ``latents [n, d]``, ``scores [n]``, ``mask [n]``, room for what it will be told
    included; the best score among them, ``best []``; ``next []``, the row that the next
    observation fills.
    """

    gp: exact.ExactGP | sparse.SparseGP
    latent_units: Standardizer
    score_units: Standardizer
    latents: Array
    scores: Array
    mask: Array
    best: Array
    next: Array


def initial_memory(vae: VAE, config: SurrogateConfig) -> Hyperparameters:
    """Hyperparameters to start the first fit from."""
    return default_hyperparameters(vae.latent_dim, config.fit)


def fit_surrogate(
    key: Array,
    view: View,
    memory: Hyperparameters,
    *,
    vae: VAE,
    config: SurrogateConfig,
    room: int,
) -> tuple[Hyperparameters, Surrogate]:
    """Choose data, encode them, fit hyperparameters, condition.

    Args:
      key: typed PRNG key.
      view: the model and the data.
      memory: hyperparameters of the last fit, to start from.
      vae: the model (static).
      config: see :class:`SurrogateConfig` (static).
      room: observations that can be told before the next fit; later ones are
        ignored (static).

    Returns:
      The hyperparameters and the surrogate.
    """
    row_key, fit_key, cluster_key = jax.random.split(key, 3)
    rows, real = choose_rows(row_key, view.base, view.distinct, config.best, config.random)
    own_z, aligned = current_latents(vae, view.params, view.acquired, config.inversion)
    z = jnp.concatenate([own_z, encode_all(vae, view.params, view.base.objects[rows])])
    base_scores = view.base.scores[rows]
    lowest = jnp.where(real, base_scores, jnp.inf).min()
    own, usable = _own_scores(view.acquired, aligned, config.penalty, lowest)
    scores = jnp.concatenate([own, base_scores])
    z, scores = (a.astype(jnp.result_type(float)) for a in (z, scores))  # double where enabled
    mask = jnp.concatenate([usable, real]) & jnp.isfinite(z).all(1) & jnp.isfinite(scores)
    latent_units = standardizer(z, mask, least=_COLLAPSED)
    score_units = standardizer(scores, mask)
    x = jnp.where(mask[:, None], latent_units.apply(z), 0.0)
    y = jnp.where(mask, score_units.apply(scores), 0.0)

    x_all, y_all, mask_all = (_pad(a, room) for a in (x, y, mask))
    inducing = _inducing(cluster_key, x, y, mask, min(config.inducing, len(x)))

    def evidence(hyper: Hyperparameters) -> Array:
        kernel = _kernel(config, hyper)
        if config.kind == "exact":
            return exact.log_marginal_likelihood(kernel, hyper.noise, x, y, mask)
        return sparse.log_marginal_bound(kernel, hyper.noise, x, y, inducing, mask)

    hyper, _ = fit(fit_key, evidence, memory, config.fit)
    kernel = _kernel(config, hyper)
    gp: exact.ExactGP | sparse.SparseGP
    if config.kind == "exact":
        gp = exact.condition(kernel, hyper.noise, x_all, y_all, mask_all)
    else:
        gp = sparse.condition(kernel, hyper.noise, x, y, inducing, mask)
    best = jnp.where(mask, y, -jnp.inf).max()
    return hyper, Surrogate(
        gp, latent_units, score_units, x_all, y_all, mask_all, best, jnp.int32(len(x))
    )


def _inducing(key: Array, x: Array, y: Array, mask: Array, n: int) -> Array:
    """Inducing points ``[n, d]``: a quarter where the scores are highest, the others in the centres
    of clusters of all data. A single point that scores far above its neighbours, as the best one
    does, would be smoothed away between centres."""
    _, best = lax.top_k(jnp.where(mask, y, -jnp.inf), n // 4)
    return jnp.concatenate([x[best], sparse.k_means(key, x, n - n // 4, mask)])


def _pad(rows: Array, room: int) -> Array:
    return jnp.pad(rows, [(0, room)] + [(0, 0)] * (rows.ndim - 1))


def predict(surrogate: Surrogate, x: Array) -> tuple[Array, Array]:
    """Mean and variance ``[s]`` at ``x [s, d]``, all in standard units."""
    if isinstance(surrogate.gp, exact.ExactGP):
        return exact.predict(surrogate.gp, x)
    return sparse.predict(surrogate.gp, x)


def predict_joint(surrogate: Surrogate, x: Array) -> tuple[Array, Array]:
    """Mean ``[s]`` and covariance ``[s, s]`` at ``x [s, d]``, all in standard units."""
    if isinstance(surrogate.gp, exact.ExactGP):
        return exact.predict_joint(surrogate.gp, x)
    return sparse.predict_joint(surrogate.gp, x)


def add(surrogate: Surrogate, x: Array, y: Array) -> Surrogate:
    """One more observation ``x [d]``, ``y []`` in standard units; none where ``y`` is NaN, or
    the room for observations is used up."""
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
        next=surrogate.next + known,
    )


def imagine(surrogate: Surrogate, x: Array) -> Surrogate:
    """A fantasy: the posterior as if ``x [d]`` had scored its mean. What is known, and its best,
    stay as they are."""
    mean, _ = predict(surrogate, x[None])
    fantasy = add(surrogate, x, mean[0])
    return surrogate._replace(gp=fantasy.gp, next=fantasy.next)


def observe(
    surrogate: Surrogate, told: Told, *, penalty: float | Literal["lowest"] | None = None
) -> Surrogate:
    """Add what a batch taught, at fixed hyperparameters; ``penalty`` as in the configuration."""
    x, y = surrogate.latent_units.apply(told.latents), surrogate.score_units.apply(told.scores)
    if penalty == "lowest":
        y = jnp.where(told.failed, jnp.where(surrogate.mask, surrogate.scores, jnp.inf).min(), y)
    elif penalty is not None:
        y = jnp.where(told.failed, surrogate.score_units.apply(jnp.asarray(penalty, y.dtype)), y)
    return lax.scan(lambda s, xy: (add(s, *xy), None), surrogate, (x, y))[0]


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
    drawn = jnp.where(distinct, jax.random.uniform(key, (n,)), -1.0).at[top].set(-1.0)
    luck, others = lax.top_k(drawn, min(random, n - best))
    return jnp.concatenate([top, others]), jnp.concatenate([distinct[top], luck >= 0])


def current_latents(
    vae: VAE, params: Any, acquired: Acquired, inversion: int = 0
) -> tuple[Array, Array]:
    """Latents ``[C, d]`` of a seed's queries under the current model, and whether they are the
    points that were proposed ``[C]``.

    They are as long as these still decode to what was scored, in the spelling that it had then;
    else they are the objects' encodings, moved by ``inversion`` steps to where the model decodes
    the objects.
    """
    decoded = fingerprint(decode_all(vae, params, acquired.latents))
    aligned = (decoded.high == acquired.decoded.high) & (decoded.low == acquired.decoded.low)
    encoded = encode_all(vae, params, acquired.objects)
    lost = in_use(acquired) & ~aligned & (acquired.status != Status.INVALID)
    found = invert(vae, params, encoded, acquired.objects, steps=inversion, needed=lost)
    return jnp.where(aligned[:, None], acquired.latents, found), aligned


def _own_scores(
    acquired: Acquired, aligned: Array, penalty: float | Literal["lowest"] | None, lowest: Array
) -> tuple[Array, Array]:
    """Scores ``[C]`` of a seed's queries and which of them the surrogate sees; ``lowest`` of the
    base data."""
    scored = in_use(acquired) & (acquired.status == Status.OK)
    if penalty is None:
        return jnp.where(scored, acquired.scores, 0.0), scored
    # What an invalid decode was, cannot be encoded: only where the point still decodes to it.
    failed = in_use(acquired) & ~scored & (aligned | (acquired.status != Status.INVALID))
    own_lowest = jnp.where(scored, acquired.scores, jnp.inf).min()
    worth = jnp.minimum(lowest, own_lowest) if penalty == "lowest" else jnp.asarray(penalty)
    return jnp.where(scored, acquired.scores, worth), scored | failed


def _kernel(config: SurrogateConfig, hyper: Hyperparameters) -> Stationary:
    return KERNELS[config.kernel](hyper.lengthscales, hyper.variance)
