"""A seed's queries as its surrogate sees them: their present latents, and the scores to learn."""

from typing import Any, Literal

import jax.numpy as jnp
from jax import Array

from wrlso.data import History, in_use
from wrlso.fingerprint import fingerprint
from wrlso.models.inversion import invert
from wrlso.models.vae import VAE, decode_all, encode_all
from wrlso.proposers.base import View
from wrlso.scores import constant_less
from wrlso.status import Status

Penalty = float | Literal["lowest"] | None
"""The score that a failed query counts as; see ``SurrogateConfig``."""


def current_latents(
    vae: VAE, params: Any, history: History, inversion: int = 0
) -> tuple[Array, Array]:
    """Latents of a seed's queries under the current model.

    A query keeps its proposed point as long as this still decodes to the scored object, in the
    spelling that it had then. Otherwise it stands at its object's encoding, moved by ``inversion``
    steps towards a point that decodes to the object.

    Returns:
      Latents ``[C, d]``, and booleans ``[C]``, true for proposed points.
    """
    decoded = fingerprint(decode_all(vae, params, history.latents))
    aligned = (decoded.high == history.decoded_fingerprints.high) & (
        decoded.low == history.decoded_fingerprints.low
    )
    encoded = encode_all(vae, params, history.objects)
    lost = in_use(history) & ~aligned & (history.status != Status.INVALID)
    found = invert(vae, params, encoded, history.objects, steps=inversion, needed=lost)
    return jnp.where(aligned[:, None], history.latents, found), aligned


def own_scores(view: View, aligned: Array, penalty: Penalty, lowest: Array) -> tuple[Array, Array]:
    """Scores ``[C]`` of a seed's queries and which of them the surrogate sees; ``lowest`` of the
    base data."""
    history = view.history
    scored = in_use(history) & (history.status == Status.OK)
    if penalty is None:
        return jnp.where(scored, history.scores, 0.0), scored
    # An invalid decode has no object to encode: keep it only if its point still decodes to it.
    failed = in_use(history) & ~scored & (history.status != Status.PENDING)
    failed &= aligned | (history.status != Status.INVALID)
    own_lowest = jnp.where(scored, history.scores, jnp.inf).min()
    lowest = jnp.minimum(lowest, own_lowest)
    worth = lowest if penalty == "lowest" else constant_less(penalty, view.offset)
    return jnp.where(scored, history.scores, worth), scored | failed
