import re

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from scipy import stats

from tests.builders import bits_of, count_bits, tiny_data, tiny_params, tiny_vae
from wrlso.data import empty_history, gather
from wrlso.loop.retraining import RetrainConfig, retrain_model
from wrlso.models.elbo import (
    bernoulli_log_likelihood,
    constant_beta,
    elbo_terms,
    gaussian_kl,
    geometric_beta,
    weighted_negative_elbo,
)
from wrlso.models.sampling import draw
from wrlso.models.training import minibatches, train
from wrlso.models.vae import VAE
from wrlso.weighting.ranks import rank_weights, uniform_weights
from wrlso.weighting.registry import weighting_named


def test_kl_equals_numerical_integration():
    mean, log_std = 0.7, -0.4
    q, p = stats.norm(mean, np.exp(log_std)), stats.norm()
    grid = np.linspace(-12, 12, 200_001)
    expected = np.trapezoid(q.pdf(grid) * (q.logpdf(grid) - p.logpdf(grid)), grid)
    got = gaussian_kl(jnp.full((1, 3), mean), jnp.full((1, 3), log_std))
    np.testing.assert_allclose(got, [3 * expected], rtol=1e-5)
    assert gaussian_kl(jnp.zeros((1, 2)), jnp.zeros((1, 2))) == 0


def test_bernoulli_equals_scipy_and_never_overflows():
    logits = np.array([-3.0, -0.1, 0.0, 2.0, 9.0])
    for x in (0.0, 1.0):
        expected = stats.bernoulli(1 / (1 + np.exp(-logits))).logpmf(x)
        np.testing.assert_allclose(
            bernoulli_log_likelihood(jnp.asarray(logits), x), expected, rtol=2e-5, atol=1e-6
        )
    extreme = jnp.array([-1e30, -200.0, 200.0, 1e30])
    assert jnp.isfinite(bernoulli_log_likelihood(extreme, 1.0)).all()
    assert jnp.isfinite(jax.grad(lambda e: bernoulli_log_likelihood(e, 0.0).sum())(extreme)).all()


def test_bernoulli_gradient_equals_plain_autodiff():
    logits, x = jnp.linspace(-5, 5, 11), jnp.linspace(0, 1, 11)
    plain = lambda e, x: (x * e - jnp.logaddexp(e, 0.0)).sum()  # noqa: E731
    ours = lambda e, x: bernoulli_log_likelihood(e, x).sum()  # noqa: E731
    for argument in (0, 1):
        np.testing.assert_allclose(
            jax.grad(ours, argument)(logits, x), jax.grad(plain, argument)(logits, x), atol=1e-6
        )


def test_elbo_is_below_the_log_likelihood_by_importance_sampling():
    vae, data = tiny_vae(), tiny_data()
    params, objects = vae.init(jax.random.key(0)), data.objects[:5]
    keys = jax.random.split(jax.random.key(1), 4000)
    log_lik, kl = jax.vmap(lambda k: elbo_terms(k, params, vae, objects))(keys)
    elbo = log_lik.mean(0) - kl[0]
    z = jax.random.normal(jax.random.key(2), (20_000, 2))
    each = jax.vmap(
        lambda x: vae.log_likelihood(params, z, jnp.broadcast_to(x, (len(z), *x.shape)))
    )(objects)
    log_evidence = jax.nn.logsumexp(each, axis=1) - jnp.log(len(z))
    assert (elbo < log_evidence + 0.02).all()


def test_elbo_gradient_equals_plain_autodiff_of_the_closed_form():
    """No custom rule anywhere: the same loss spelled out."""
    vae, objects = tiny_vae(), tiny_data().objects[:16]
    params, key = vae.init(jax.random.key(0)), jax.random.key(1)
    loss_weights = jnp.linspace(0, 3, 16)

    def spelled_out(params):
        x = bits_of(objects)
        out = (x - 0.5) @ params["encoder"]
        mean, log_std = out[:, :2], out[:, 2:]
        z = mean + jnp.exp(log_std) * jax.random.normal(key, mean.shape)
        p = jax.nn.sigmoid(z @ params["decoder"] + params["bias"][None])
        log_lik = (x * jnp.log(p) + (1 - x) * jnp.log(1 - p)).sum(-1)
        kl = (-log_std + (jnp.exp(2 * log_std) + mean**2) / 2 - 0.5).sum(-1)
        return (loss_weights * (2.0 * kl - log_lik)).sum() / 16

    got = jax.grad(weighted_negative_elbo, argnums=1)(key, params, vae, objects, 2.0, loss_weights)
    want = jax.grad(spelled_out)(params)
    for name in want:
        np.testing.assert_allclose(got[name], want[name], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("form", ["sample", "loss", "split"])
def test_every_form_of_weighting_has_the_same_expected_gradient(form):
    """Minibatch gradients of each form average to sum_i w_i grad loss_i (A.3.1, A.3.2)."""
    data = tiny_data()
    n = len(data.scores)
    weights = rank_weights(data.scores, 0.05)
    features = jax.random.normal(jax.random.key(0), (n, 6))
    targets = data.scores

    def loss(theta, rows):
        return (features[rows] @ theta - targets[rows]) ** 2

    theta = jnp.ones(6)
    exact = jax.grad(lambda t: (weights * loss(t, jnp.arange(n))).sum())(theta)
    batches = minibatches(weights, jnp.ones(n, bool), form)

    def minibatch_gradient(key):
        rows = draw(key, batches.cdf, 64)
        return jax.grad(lambda t: (batches.loss_weights[rows] * loss(t, rows)).mean())(theta)

    gradients = jax.vmap(minibatch_gradient)(jax.random.split(jax.random.key(1), 4000))
    error = jnp.abs(gradients.mean(0) - exact)
    standard_error = gradients.std(0) / jnp.sqrt(4000)
    assert (error < 4.5 * standard_error).all()
    assert (standard_error < 0.05 * jnp.abs(exact).max()).all()


def test_splitting_cuts_the_variance_of_loss_weights():
    weights = rank_weights(tiny_data().scores, 0.01)
    mask = jnp.ones(len(weights), bool)

    def variance(form):  # of the loss factor over draws; its mean is one
        batches = minibatches(weights, mask, form)
        probability = weights / batches.loss_weights
        return float((probability * batches.loss_weights**2).sum() - 1)

    assert variance("sample") == pytest.approx(0, abs=1e-4)
    assert 0 < variance("split") < 0.5 * variance("loss")


def test_beta_schedule_of_the_protocol():
    """From 1e-6, times 1.1 every 10 steps after step 1000, up to 10."""
    beta = geometric_beta(1e-6, 10.0, factor=1.1, every=10, warmup=1000)
    expected = {0: 1e-6, 1000: 1e-6, 1009: 1e-6, 1010: 1.1e-6, 1100: 1e-6 * 1.1**10, 9999: 10.0}
    for step, value in expected.items():
        assert beta(jnp.int32(step)) == pytest.approx(value, rel=1e-4)
    with pytest.raises(ValueError, match=r"start must be positive, got 0\.0"):
        geometric_beta(start=0.0)


def small_retrain(weighting="rank", steps=60, k=1e-3, form="sample", key=0, **config):
    vae, data = tiny_vae(), tiny_data()
    return vae, *retrain_model(
        jax.random.key(key),
        vae.init(jax.random.key(1)),
        empty_history(5, data.objects[0], 2),
        data,
        steps,
        {"k": k, "learning_rate": 1e-2, "beta": 1.0},
        vae=vae,
        weighting=weighting_named(weighting),
        config=RetrainConfig(batch_size=16, form=form, **config),
    )


@pytest.mark.parametrize("form", ["sample", "loss", "split"])
@pytest.mark.slow
def test_retraining_bends_the_prior_towards_high_scores(form):
    z = jax.random.normal(jax.random.key(9), (2000, 2))
    score = {}
    for k in (1e-3, jnp.inf):
        vae, params, info = small_retrain(k=k, form=form, steps=400)
        assert bool(info.finite)
        score[float(k)] = float(count_bits(vae.decode(params, z)).mean())
    assert score[1e-3] > score[float("inf")] + 1.0


def test_zero_steps_change_nothing():
    vae, params, info = small_retrain(steps=0)
    for got, want in zip(
        jax.tree.leaves(params), jax.tree.leaves(vae.init(jax.random.key(1))), strict=True
    ):
        np.testing.assert_array_equal(got, want)
    assert bool(info.finite)


def test_divergence_is_undone_and_reported():
    vae, data = tiny_vae(), tiny_data()
    params = vae.init(jax.random.key(1))
    w = uniform_weights(data.scores)
    trained, _, info = train(
        jax.random.key(0), params, vae, lambda rows: data.objects[rows],
        minibatches(w, jnp.ones(len(w), bool)), steps=3, batch_size=4,
        optimizer=optax.adam(jnp.nan), beta=lambda step: jnp.float32(1),
    )  # fmt: skip
    assert not bool(info.finite)
    for got, want in zip(jax.tree.leaves(trained), jax.tree.leaves(params), strict=True):
        np.testing.assert_array_equal(got, want)


def test_training_continues_where_it_stopped():
    """Two halves with the optimiser's state carried over equal one whole."""
    vae, data = tiny_vae(), tiny_data()
    w = uniform_weights(data.scores)
    settings = dict(
        batch_size=8, optimizer=optax.adam(1e-2), beta=geometric_beta(0.1, 1, warmup=2, every=1)
    )

    def run(params, steps, **more):
        return train(
            jax.random.key(0), params, vae, lambda rows: data.objects[rows],
            minibatches(w, jnp.ones(len(w), bool)), steps=steps, **settings, **more,
        )  # fmt: skip

    start = vae.init(jax.random.key(1))
    whole, _, _ = run(start, 10)
    half, opt_state, _ = run(start, 4)
    rest, _, _ = run(half, 6, opt_state=opt_state, first_step=4)
    for got, want in zip(jax.tree.leaves(rest), jax.tree.leaves(whole), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6)


def test_gather_joins_base_and_acquired_rows():
    data = tiny_data()
    history = empty_history(3, data.objects[0], 2)._replace(
        objects=jnp.array([[1, 2], [3, 4], [5, 6]], jnp.uint8)
    )
    n = len(data.scores)
    got = gather(data, history, jnp.array([0, n - 1, n, n + 2]))
    np.testing.assert_array_equal(got[:2], data.objects[jnp.array([0, n - 1])])
    np.testing.assert_array_equal(got[2:], [[1, 2], [5, 6]])


@pytest.mark.filterwarnings("error")
def test_a_beta_and_weights_of_64_bits_come_in_the_type_that_there_is():
    beta = np.float64(0.5)
    assert constant_beta(beta)(jnp.int32(3)).dtype == jnp.float32
    for form in ("sample", "loss", "split"):
        found = minibatches(np.array([0.25, 0.75]), jnp.ones(2, bool), form)
        assert found.loss_weights.dtype == jnp.float32
    with jax.enable_x64(True):
        assert constant_beta(beta)(jnp.int32(3)).dtype == jnp.float64


def test_a_model_without_floats_trains_nothing():
    vae = VAE(
        1,
        lambda key: {},
        lambda params, x: (jnp.zeros((len(x), 1)), jnp.zeros((len(x), 1))),
        lambda params, z: jnp.zeros((len(z), 1), jnp.uint8),
        lambda params, z, x: -jnp.ones(len(x)),
    )
    weights, mask = jnp.full(4, 0.25), jnp.ones(4, bool)
    options = dict(batch_size=2, optimizer=optax.sgd(1.0), beta=lambda step: 1.0)
    run = jax.jit(
        lambda steps, params: train(
            jax.random.key(0), params, vae, lambda rows: rows[:, None],
            minibatches(weights, mask), steps=steps, **options,
        )
    )  # fmt: skip
    for steps, loss in ((0, 0.0), (3, 1.0)):
        params, _, info = run(steps, {})
        assert (params, float(info.loss), bool(info.finite)) == ({}, loss, True)


def test_the_kl_and_its_slopes_are_exact_near_the_standard_normal():
    """Written as ``exp(2 s) - 1 - 2 s``, float32 lost all digits: the KL came out negative."""
    log_std = np.float32(
        [-30, -0.26, -0.24, -1e-3, -3e-5, -1e-9, 0, 1e-9, 3e-5, 1e-3, 0.24, 0.26, 9]
    )
    first = lambda s: jax.jvp(lambda s: gaussian_kl(0.0 * s, s), (s,), (jnp.ones_like(s),))  # noqa: E731
    run = jax.jit(jax.vmap(lambda s: jax.jvp(first, (s,), (jnp.ones_like(s),))))
    (kl, slope), (_, second) = run(log_std[:, None])
    twice = 2 * log_std.astype(np.longdouble)
    near = np.abs(twice) < 1e-3
    expected = np.where(near, twice**2 / 2 + twice**3 / 6 + twice**4 / 24, np.expm1(twice) - twice)
    np.testing.assert_allclose(kl, expected / 2, rtol=2e-6)
    np.testing.assert_allclose(slope, np.expm1(twice), rtol=2e-6)
    np.testing.assert_allclose(second, 2 * np.exp(twice), rtol=2e-6, atol=2e-7)
    ends = jnp.array([-jnp.inf, jnp.inf])
    np.testing.assert_array_equal(gaussian_kl(jnp.zeros((2, 1)), ends[:, None]), jnp.inf)


def test_infinite_logits_are_certain():
    logits = jnp.array([jnp.inf, -jnp.inf, jnp.inf, -jnp.inf])
    x = jnp.array([1.0, 0.0, 0.0, 1.0])
    run = jax.jit(
        lambda e: (
            bernoulli_log_likelihood(e, x),
            jax.grad(lambda e: bernoulli_log_likelihood(e, x).sum())(e),
        )
    )
    value, slope = run(logits)
    np.testing.assert_array_equal(value, [0, 0, -jnp.inf, -jnp.inf])
    np.testing.assert_array_equal(slope, [0, 0, -1, 1])
    assert jnp.isnan(bernoulli_log_likelihood(jnp.nan, jnp.array([0.0, 1.0]))).all()


@pytest.mark.parametrize("kind", [bool, np.uint8, np.int32, np.float16, jnp.bfloat16])
def test_pixels_of_any_type_are_those_of_floats(kind):
    pixels, logits = np.array([1, 0, 1, 0, 1]).astype(kind), jnp.linspace(-3, 3, 5)

    def first_and_second(x):
        each = lambda e: bernoulli_log_likelihood(e, x).sum()  # noqa: E731
        return each(logits), jax.grad(each)(logits), jax.hessian(each)(logits)

    with jax.numpy_dtype_promotion("strict"):
        found = jax.jit(first_and_second)(pixels)
    expected = jax.jit(first_and_second)(jnp.asarray(pixels, jnp.float32))
    for a, b in zip(found, expected, strict=True):
        assert a.dtype == jnp.float32
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("kind", [jnp.float16, jnp.bfloat16])
def test_logits_of_16_bits_are_promoted(kind):
    """Their sum over 4,096 pixels was 16% off."""
    logits = jnp.full(4096, 5, kind)
    found = bernoulli_log_likelihood(logits, jnp.ones(4096, kind))
    assert found.dtype == jnp.float32
    np.testing.assert_allclose(found.sum(), -4096 * np.log1p(np.exp(-5.0)), rtol=1e-3)


LOSS = {
    "beta must be a single number, got shape (4,)": dict(beta=np.ones(4)),
    "beta must be a single number, got shape (4, 1)": dict(beta=np.ones((4, 1), np.float32)),
    "beta must be real numbers, got complex64": dict(beta=np.complex64(1)),
    "loss_weights must be real numbers, got complex64": dict(loss_weights=np.ones(4, np.complex64)),
}


@pytest.mark.parametrize("message", LOSS)
def test_a_loss_of_other_forms_is_refused_also_under_jit(message):
    vae, objects, key = tiny_vae(), tiny_data().objects[:4], jax.random.key(0)
    params = tiny_params()
    loss = lambda given: weighted_negative_elbo(key, params, vae, objects, **given)  # noqa: E731
    for call in (loss, lambda given: jax.eval_shape(loss, given)):
        with pytest.raises(ValueError, match=f"^{re.escape(message)}"):
            call(LOSS[message])


@pytest.mark.parametrize("beta", [-1.0, np.nan, np.inf])
def test_a_concrete_beta_that_means_nothing_is_refused(beta):
    vae, objects, key = tiny_vae(), tiny_data().objects[:4], jax.random.key(0)
    for call in (
        lambda: weighted_negative_elbo(key, tiny_params(), vae, objects, beta),
        lambda: constant_beta(beta),
    ):
        with pytest.raises(ValueError, match=r"^beta must be at least 0 and finite, got"):
            call()


def test_a_batch_of_no_object_is_refused():
    vae, params, objects = tiny_vae(), tiny_params(), tiny_data().objects[:0]
    with pytest.raises(ValueError, match=r"^objects must be a batch of at least one object"):
        jax.eval_shape(
            lambda key: weighted_negative_elbo(key, params, vae, objects), jax.random.key(0)
        )


@pytest.mark.parametrize("function", [gaussian_kl, bernoulli_log_likelihood])
def test_complex_arguments_are_refused(function):
    for arrays in ((np.ones(2), np.full(2, 1j)), (np.full(2, 1j), np.ones(2))):
        for call in (function, lambda *a: jax.eval_shape(function, *a)):
            with pytest.raises(ValueError, match="must be real numbers, got complex64"):
                call(*arrays)


def test_loss_weights_may_be_whole_numbers_under_strict_types():
    vae, objects, key = tiny_vae(), tiny_data().objects[:4], jax.random.key(0)
    params = tiny_params()
    with jax.numpy_dtype_promotion("strict"):
        found = jax.eval_shape(
            lambda w: weighted_negative_elbo(key, params, vae, objects, 1, w), jnp.arange(4)
        )
    assert found.dtype == jnp.float32
