"""Latents in two dimensions."""

import numpy as np


def plane(latents: np.ndarray) -> tuple[np.ndarray, tuple[str, str], str]:
    """Latents ``[n, d]`` in two dimensions: points ``[n, 2]``, the axes' names, and a sentence.

    More than two dimensions are projected on their first two principal components.
    """
    n, d = latents.shape
    if d == 1:
        return (
            np.concatenate([latents, np.arange(n)[:, None]], 1),
            ("z", "query"),
            "The latent space has one dimension; the other axis counts queries.",
        )
    if d == 2:
        return latents, ("z₁", "z₂"), "The axes are the two latent dimensions."
    centred = latents - latents.mean(0)
    _, singular, axes = np.linalg.svd(centred, full_matrices=False)
    axes = axes[:2] * np.where(axes[:2].sum(1, keepdims=True) < 0, -1, 1)  # a sign that stays
    points = np.zeros((n, 2))
    points[:, : len(axes)] = centred @ axes.T
    total = float((singular**2).sum())
    share = float((singular[:2] ** 2).sum()) / total if total > 0 else 1.0
    words = (
        f"The axes are the first two principal components of the {n} latents in {d} dimensions; "
        f"they hold {share:.0%} of the variance."
    )
    return points, ("first principal component", "second principal component"), words
