"""Off contract: what is concrete and means nothing is refused, wherever a number is taken."""

import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from wrlso.weighting import baselines, ranks

SCORES, ROUNDS = np.array([0.3, 1.2, -0.4, 0.9]), np.array([-1, -1, 0, 1])
REFUSED = {
    "quantile above one": lambda: baselines.dbas_weights(SCORES, 2.0, 0.3),
    "quantile NaN": lambda: baselines.cem_pi_weights(SCORES, np.nan),
    "quantile below zero": lambda: baselines.feedback_weights(SCORES, ROUNDS, -0.1),
    "quantile of a round": lambda: baselines.cem_pi_reference_weights(SCORES, ROUNDS, 1.1),
    "noise below zero": lambda: baselines.dbas_weights(SCORES, 0.5, -0.3),
    "noise zero": lambda: baselines.dbas_reference_weights(SCORES, ROUNDS, 0.5, 0.0),
    "alpha below zero": lambda: baselines.rwr_weights(SCORES, -1.0),
    "alpha NaN": lambda: baselines.rwr_weights(SCORES, np.nan),
    "alpha, several": lambda: baselines.rwr_weights(SCORES, np.ones(4)),
    "weights below zero": lambda: ranks.effective_sample_size(np.array([0.5, -0.5])),
    "weights NaN": lambda: ranks.effective_sample_size(np.array([0.5, np.nan])),
    "high below low": lambda: ranks.rank_weight_share(0.1, 0.5, 0.2),
    "high above one": lambda: ranks.rank_weight_share(0.1, 0.5, 1.2),
    "k zero": lambda: ranks.rank_weight_share(0.0, 0.1, 0.2),
    "scores real": lambda: ranks.rank_weights(SCORES + 1j, 0.1),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_number_that_means_nothing_is_refused_by_name(name):
    with pytest.raises(ValueError, match=rf"^{name.split()[0].rstrip(',')} must be"):
        REFUSED[name]()


WEIGHTINGS = {
    "rank": lambda s: ranks.rank_weights(s, 0.1),
    "dbas": lambda s: baselines.dbas_weights(s, 0.5, 0.3),
    "cem_pi": lambda s: baselines.cem_pi_weights(s, 0.6),
    "rwr": lambda s: baselines.rwr_weights(s, 0.7),
    "feedback": lambda s: baselines.feedback_weights(s, np.array([-1, -1, 0, 0, 1]), 0.5),
    "dbas_reference": lambda s: baselines.dbas_reference_weights(
        s, np.array([-1, -1, 0, 0, 0]), 0.5, 0.3
    ),
}


@pytest.mark.parametrize("offset", [-7.6e7, 1e12, -(2.0**52)])
@pytest.mark.parametrize("name", WEIGHTINGS)
def test_weights_do_not_depend_on_an_offset_that_float32_would_drown_in(name, offset):
    """Energies near -7.6e7 that differ by 1, as floats and whole numbers."""
    near = np.array([3.0, 1.0, 2.0, 5.0, 2.0])
    expected = WEIGHTINGS[name](near)
    assert len(np.unique(np.asarray(expected))) > 1
    far = near + offset
    for given in (far, far.astype(np.int64)):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            np.testing.assert_array_equal(WEIGHTINGS[name](given), expected)


def test_scores_that_are_equal_all_the_same_are_warned_about():
    apart = np.linspace(-1e9, 1e9, 20)
    scores = np.concatenate([apart, apart + 0.5])
    with pytest.warns(UserWarning, match="distinct scores of the weights equal others in float32"):
        ranks.rank_weights(scores, 0.1)


def test_as_many_effective_rows_as_rows_or_none_give_the_ends():
    for effective, low, high in [(200, 100, 1.1e3), (100, 100, 1.1e3), (0, 0, 1.1e-9)]:
        k, slope = jax.value_and_grad(lambda e: ranks.k_of_effective_rows(100, e))(
            jnp.float32(effective)
        )
        assert low < k < high  # near the upper end, single precision knows k to a digit
        assert np.isfinite(slope)
