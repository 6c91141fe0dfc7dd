"""The surrogate's fit on held-out data, against SciPy and the definition."""

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import spearmanr

from wrlso.proposers.held_out import held_out_fit


@pytest.mark.parametrize("levels", [1000, 4])  # few levels: many ties
def test_it_is_the_definition_whatever_is_masked(levels):
    rng = np.random.default_rng(levels)
    scores = np.floor(rng.uniform(0, levels, 60))
    mean = scores + rng.normal(0, levels / 4, 60)
    mask = rng.uniform(size=60) < 0.7
    found = held_out_fit(*map(jnp.asarray, (mean, np.where(mask, scores, np.nan), mask)))
    kept = scores[mask]
    r2 = 1 - ((kept - mean[mask]) ** 2).sum() / ((kept - kept.mean()) ** 2).sum()
    assert float(found.r2) == pytest.approx(r2, abs=1e-5)
    assert float(found.spearman) == pytest.approx(spearmanr(kept, mean[mask])[0], abs=1e-5)


def test_too_few_points_or_equal_scores_say_nothing():
    few = held_out_fit(jnp.arange(9.0), jnp.arange(9.0), jnp.ones(9, bool))
    masked = held_out_fit(jnp.arange(20.0), jnp.arange(20.0), jnp.arange(20) < 9)
    equal = held_out_fit(jnp.arange(20.0), jnp.ones(20), jnp.ones(20, bool))
    assert np.isneginf([*few, *masked, *equal]).all()


@pytest.mark.parametrize("n", [12, 13, 5000])
@pytest.mark.parametrize("score", [0.1, 0.7 / 3, 1e-20])
def test_equal_scores_say_nothing_however_their_mean_is_rounded(n, score):
    masked = jnp.arange(n) != 3
    scores = jnp.full(n, score, jnp.float32).at[3].set(jnp.nan)
    found = held_out_fit(jnp.arange(n, dtype=jnp.float32), scores, masked)
    assert np.isneginf([*found]).all()
    assert np.isneginf(held_out_fit(scores, jnp.arange(n, dtype=jnp.float32), masked).spearman)
