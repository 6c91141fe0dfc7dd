"""Off contract: shapes and types are refused always, and values where they are concrete."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tinygp

from tests import annotations
from wrlso.acquisition import thompson
from wrlso.gp import exact, sparse
from wrlso.gp.checks import check_noise, check_problem
from wrlso.gp.fit import FitConfig, Hyperparameters, LogNormal, default_hyperparameters
from wrlso.gp.fit import fit as fit_hyperparameters
from wrlso.gp.kernels import Matern52, default_lengthscale
from wrlso.gp.standardize import standardizer
from wrlso.maximize import maximize

X = np.random.default_rng(0).normal(size=(5, 2)).astype(np.float32)
Y = np.arange(5, dtype=np.float32)
ONES, Z = np.ones(2, np.float32), X[:3]


def fit_exact(kernel=None, noise=0.1, x=X, y=Y, mask=None):
    return exact.condition(kernel or Matern52(ONES, np.float32(1)), noise, x, y, mask)


def fit_sparse(kernel=None, noise=0.1, x=X, y=Y, mask=None):
    return sparse.condition(kernel or Matern52(ONES, np.float32(1)), noise, x, y, Z, mask)


VALUES = {
    "noise": dict(noise=-0.1),
    "lengthscales": dict(kernel=Matern52(np.array([1.0, 0.0], np.float32), np.float32(1))),
    "variance": dict(kernel=Matern52(ONES, np.float32(-1))),
    "variance of the kernel must be finite": dict(kernel=Matern52(ONES, np.float32(np.inf))),
    "variance of the kernel must be positive": dict(
        kernel=tinygp.kernels.Sum(Matern52(ONES, 1.0), Matern52(ONES, 0.0))
    ),
    "noise must be finite, not NaN or infinity, got inf$": dict(noise=np.inf),
    "targets": dict(y=np.where(Y == 1, np.nan, Y)),
    "points": dict(x=np.where(X[0, 0] == X, np.inf, X)),
}
SHAPES = {
    "targets": dict(targets=Y[:4]),
    "targets must be": dict(targets=Y[:, None]),
    "mask": dict(mask=np.ones(4, bool)),
    "points": dict(points=X[:0], targets=Y[:0]),
    "points must be": dict(points=X[:, 0]),
    "points must be float32": dict(points=X.astype(np.float16)),
    "targets must be float32": dict(targets=Y.astype(jnp.bfloat16)),
}


@pytest.mark.parametrize("fit", [fit_exact, fit_sparse])
@pytest.mark.parametrize("name", VALUES)
def test_values_without_a_posterior_are_refused(fit, name):
    with pytest.raises(ValueError, match=name):
        fit(**VALUES[name])


@pytest.mark.parametrize("name", SHAPES)
def test_shapes_and_types_are_refused_also_when_traced(name):
    """The check itself: in tests, annotations of types refuse shapes before it does."""
    rest = {"points": X, "targets": Y, "mask": None, **SHAPES[name]}
    kernel = Matern52(ONES, np.float32(1))
    with pytest.raises(ValueError, match=f"^{name}"):
        jax.eval_shape(lambda arrays: check_problem(kernel, **arrays), rest)


@pytest.mark.parametrize("fit", [fit_exact, fit_sparse])
def test_lengthscales_of_another_number_of_dimensions_are_refused(fit):
    with pytest.raises(ValueError, match="same number of dimensions"):
        fit(kernel=Matern52(np.ones(3, np.float32), np.float32(1)))


@pytest.mark.parametrize("gp", [exact, sparse])
def test_points_of_another_number_of_dimensions_are_refused(gp):
    posterior = jax.eval_shape(fit_exact if gp is exact else fit_sparse)
    with pytest.raises(ValueError, match="same number of dimensions"):
        jax.eval_shape(gp.predict, posterior, X[:, :1])


def test_an_observation_that_is_not_finite_is_refused():
    like = jax.eval_shape(fit_exact)
    posterior = jax.tree.map(lambda a: np.zeros(a.shape, a.dtype), like)
    with pytest.raises(ValueError, match="target must be finite"):
        exact.add(posterior, 4, X[0], np.nan)
    with pytest.raises(ValueError, match="point must be finite"):
        exact.add(posterior, 4, X[0] * np.inf, 1.0)
    with pytest.raises(ValueError, match="slot must be an integer"):
        exact.add(posterior, 4.0, X[0], 1.0)


@pytest.mark.parametrize("shape", [(5,), (5, 5), (1,)])
def test_one_noise_and_one_variance_belong_to_a_process_also_when_traced(shape):
    with pytest.raises(ValueError, match="noise must be a single number"):
        jax.eval_shape(check_noise, jnp.ones(shape))
    kernel = Matern52(ONES, jnp.ones(shape))
    with pytest.raises(ValueError, match="variance of the kernel must be a single number"):
        jax.eval_shape(lambda x: check_problem(kernel, x, Y, None), X)


@pytest.mark.parametrize("gp", [exact, sparse])
def test_a_target_is_one_number(gp):
    posterior = fit_exact() if gp is exact else fit_sparse()
    place = (4,) if gp is exact else ()
    with pytest.raises(ValueError, match="target must be a single number"):
        gp.add(posterior, *place, X[0], np.ones(3, np.float32))


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.uint32, np.int32])
def test_a_slot_of_any_type_is_filled(dtype):
    mask = np.array([True, True, True, True, False])
    posterior = exact.condition(Matern52(ONES, np.float32(1)), 0.1, X, Y, mask)
    added = exact.add(posterior, jnp.asarray(4, dtype), X[4], 4)
    assert added.mask.all()
    assert added.targets[4] == 4
    expected, _ = exact.predict(fit_exact(), X)
    np.testing.assert_allclose(exact.predict(added, X)[0], expected, atol=1e-5)


def test_a_kernel_is_zero_at_any_distance():
    far = Matern52(np.full(2, 1e-20, np.float32), np.float32(1))
    with jax.debug_nans(True):
        value, slope = jax.value_and_grad(
            lambda s: exact.log_marginal_likelihood(Matern52(far.lengthscales, s), 0.1, X, Y)
        )(jnp.float32(1))
    alone = -0.5 * (Y @ Y / 1.1 + len(Y) * np.log(2 * np.pi * 1.1))
    np.testing.assert_allclose(value, alone, rtol=1e-5)
    assert np.isfinite(slope)


def test_other_arguments_without_a_meaning_are_refused():
    with pytest.raises(ValueError, match="clusters must be at least 1"):
        sparse.k_means(jax.random.key(0), X, 0)
    with pytest.raises(ValueError, match="points must be finite"):
        sparse.k_means(jax.random.key(0), X * np.nan, 2)
    with pytest.raises(ValueError, match="points must be float32 or float64"):
        jax.eval_shape(lambda x: sparse.k_means(jax.random.key(0), x, 2), X.astype(jnp.bfloat16))
    with pytest.raises(ValueError, match="covariance must be finite"):
        thompson(jax.random.key(0), ONES, np.full((2, 2), np.nan), 1)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (dict(function=lambda x: (x**2).sum()), "must map points"),
        (dict(function=lambda x: x), "must map points"),
        (dict(function=None, value_and_grad=lambda x: (x.sum(1), x.sum(1))), "must map points"),
        (dict(starts=np.zeros(2)), "starts must be"),
        (dict(starts=np.zeros((3, 0))), "starts must be"),
        (dict(evaluations=0), "evaluations must be at least 1"),
    ],
)
def test_maximize_refuses_other_shapes(changes, message):
    usual = dict(function=lambda x: -(x**2).sum(-1), starts=np.zeros((3, 2)), evaluations=5)
    with pytest.raises(ValueError, match=message):
        maximize(**(usual | changes), lower=-1.0, upper=1.0)


PLAIN = tinygp.kernels.Matern52(1.0)


@pytest.mark.parametrize("fit", [fit_exact, fit_sparse])
def test_points_of_other_dimensions_than_the_posterior_are_refused(fit):
    """A kernel of tinygp alone would broadcast them."""
    module, gp = (exact if fit is fit_exact else sparse), fit(PLAIN)
    for predict in (module.predict, module.predict_joint):
        with pytest.raises(ValueError, match=r"^x must be points \[s, 2\]"):
            predict(gp, np.ones((3, 1), np.float32))
    slot = (0,) if fit is fit_exact else ()
    with pytest.raises(ValueError, match=r"must be points \[s, 2\]"):
        module.add(gp, *slot, np.ones(3, np.float32), 0.0)


def test_no_inducing_points_are_refused():
    with pytest.raises(ValueError, match=r"^inducing must have at least one point"):
        sparse.condition(PLAIN, 0.1, X, Y, Z[:0])
    with pytest.raises(ValueError, match=r"^points must be \[n, d\]"):
        sparse.k_means(jax.random.key(0), X[:0], 2)


def test_starts_and_bounds_may_be_lists():
    maxima = maximize(lambda x: -(x**2).sum(1), [[0.5, 0.5]], [0.1, 0.1], [1.0, 1.0])
    np.testing.assert_allclose(maxima.points, [[0.1, 0.1]])


@pytest.mark.parametrize("name", ["lower", "upper"])
@pytest.mark.parametrize("shape", [(3,), (4, 2), (1, 3), (1, 1, 2)])
def test_bounds_of_another_shape_are_refused_by_name(name, shape):
    bounds = {"lower": np.zeros(2), "upper": np.ones(2)} | {name: np.full(shape, 0.5)}
    with pytest.raises(ValueError, match=f"^{name} must be one number"):
        maximize(lambda x: -(x**2).sum(1), Z, **bounds)


def test_complex_values_are_refused():
    with pytest.raises(ValueError, match=r"^values of the function must be real numbers"):
        maximize(lambda x: (x * 1j).sum(1), Z, 0.0, 1.0)


# --- Complex numbers, None, lists, whole numbers --------------------------------------------------

EAGER_AND_TRACED = pytest.mark.parametrize("call", [lambda f, *a: f(*a), jax.eval_shape])
BOTH_GPS = pytest.mark.parametrize("gp", [exact, sparse])


def posterior(gp):
    """Of no values: the checks alone are tried."""
    like = jax.eval_shape(fit_exact if gp is exact else fit_sparse)
    return jax.tree.map(lambda a: np.zeros(a.shape, a.dtype), like)


def evidence(gp, kernel, noise, x, y, z=Z):
    more = () if gp is exact else (z,)
    function = exact.log_marginal_likelihood if gp is exact else sparse.log_marginal_bound
    return function(kernel, noise, x, y, *more)


def of_complex(gp, name):
    """A function of a number, of which it makes the argument of this name."""
    slot = (4,) if gp is exact else ()
    kernel = Matern52(ONES, np.float32(1))
    return {
        "target": lambda c: gp.add(posterior(gp), *slot, X[0], c),
        "point": lambda c: gp.add(posterior(gp), *slot, X[0] + c, 1.0),
        "x": lambda c: gp.predict(posterior(gp), X + c),
        "x of the joint": lambda c: gp.predict_joint(posterior(gp), X + c),
        "points": lambda c: evidence(gp, kernel, 0.1, X + c, Y),
        "targets": lambda c: evidence(gp, kernel, 0.1, X, Y + c),
        "noise": lambda c: evidence(gp, kernel, c, X, Y),
        "variance of the kernel": lambda c: evidence(gp, Matern52(ONES, c), 0.1, X, Y),
        "lengthscales": lambda c: evidence(gp, Matern52(ONES + c, 1.0), 0.1, X, Y),
    }[name]


NAMES = ("target", "point", "x", "x of the joint", "points", "targets", "noise")


@pytest.mark.filterwarnings("error")
@EAGER_AND_TRACED
@BOTH_GPS
@pytest.mark.parametrize("name", [*NAMES, "variance of the kernel", "lengthscales"])
def test_complex_arguments_are_refused(gp, name, call):
    """Some were carried on to a complex likelihood, and some cut to their real part."""
    with (
        annotations.at_rest(),
        pytest.raises(ValueError, match=f"^{name.split(' of the j')[0]}.*must be.*complex"),
    ):
        call(of_complex(gp, name), jnp.complex64(1j))


@pytest.mark.filterwarnings("error")
@EAGER_AND_TRACED
@pytest.mark.parametrize("name", ["starts", "lower", "upper"])
def test_complex_starts_and_bounds_are_refused(name, call):
    usual = {"starts": Z, "lower": np.zeros(2), "upper": np.ones(2)}

    def climb(number):
        return maximize(lambda x: -(x**2).sum(1), **usual | {name: usual[name] + number})

    with pytest.raises(ValueError, match=f"^{name} must be real numbers, got complex"):
        call(climb, jnp.complex64(1j))


def test_a_noise_of_none_is_refused_by_name():
    """The remedy was to leave out rows."""
    with pytest.raises(ValueError, match=r"^noise must be real numbers, got None"):
        check_noise(None)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (dict(function=lambda x: None), r"^the function must map .*got nothing"),
        (dict(function=lambda x: (x.sum(1), x)), r"^the function must map"),
        (
            dict(function=None, value_and_grad=lambda x: x.sum(-1)),
            r"^the value_and_grad must map .* and its gradient, got \[\[3\]\]",
        ),
        (dict(evaluations=5.5), "evaluations must be a whole number, got 5.5"),
        (dict(lower=None), "^lower must be a bound, got None"),
        (dict(upper=None), "^upper must be a bound, got None"),
    ],
)
def test_maximize_refuses_what_is_no_function_and_no_bound(changes, message):
    usual = dict(function=lambda x: -(x**2).sum(-1), starts=Z, lower=-1.0, upper=1.0)
    with pytest.raises(ValueError, match=message):
        jax.eval_shape(lambda: maximize(**(usual | changes)))


@pytest.mark.parametrize(
    ("start", "message"),
    [
        ((1.0, 1.0, 0.1), r"start.lengthscales must be \[d\]"),
        ((np.ones(()), 1.0, 0.1), r"start.lengthscales must be \[d\]"),
        ((np.ones(0), 1.0, 0.1), r"start.lengthscales must be \[d\]"),
        ((np.ones(2), np.ones(2), 0.1), "start.variance must be a single number"),
        (None, "start must be Hyperparameters"),
        ((np.ones(2), 1.0, None), "start.noise must be real numbers, got None"),
        ((np.ones(2) * 1j, 1.0, 0.1), "start.lengthscales must be real numbers, got complex"),
    ],
)
def test_a_start_of_other_shapes_is_refused(start, message):
    start = start and Hyperparameters(*start)
    with pytest.raises(ValueError, match=message):
        jax.eval_shape(lambda: fit_hyperparameters(jax.random.key(0), lambda h: 0.0, start))


@pytest.mark.parametrize("evidence", [lambda h: None, lambda h: h.lengthscales, lambda h: 1j])
def test_evidence_is_one_number(evidence):
    start = default_hyperparameters(2)
    with pytest.raises(ValueError, match=r"^the value of log_evidence must be"):
        jax.eval_shape(lambda: fit_hyperparameters(jax.random.key(0), evidence, start))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (dict(evaluations=2.5), "evaluations must be a whole number, got 2.5"),
        (dict(restarts=2.5), "restarts must be a whole number, got 2.5"),
        (dict(restarts=0), "restarts must be at least 1, got 0"),
        (dict(lengthscale=(1.0, 2.0, 3.0)), "lengthscale must be a prior"),
        (dict(lengthscale=(1.0, 2.0)), "lengthscale must be a prior"),
        (dict(noise=None), "noise must be a prior"),
        (dict(variance=LogNormal("1", 1.0)), "variance must be a prior"),
        (dict(noise_bounds=1.0), "noise_bounds must be two positive, finite numbers in a tuple"),
        (
            dict(noise_bounds=(1e-3, None)),
            "noise_bounds must be two positive, finite numbers in a tuple",
        ),
    ],
)
def test_efforts_and_priors_without_a_meaning_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        FitConfig(**changes)


@pytest.mark.parametrize("dimensions", [0, -1, 1.5])
def test_there_are_hyperparameters_of_a_dimension_at_least(dimensions):
    for function in (default_hyperparameters, default_lengthscale):
        with pytest.raises(ValueError, match="dimensions must be"):
            function(dimensions)


@BOTH_GPS
def test_whole_numbers_are_floats_in_strict_modes(gp):
    kernel = Matern52(ONES, np.float32(1))
    with annotations.at_rest(), jax.numpy_dtype_promotion("strict"):
        for whole in (Y.astype(np.int32), Y.astype(bool)):
            assert jax.eval_shape(lambda y: evidence(gp, kernel, 0.1, X, y), whole).dtype == X.dtype
        mean, _ = jax.eval_shape(gp.predict, posterior(gp), np.ones((3, 2), np.int32))
        assert mean.dtype == X.dtype
        starts = jnp.zeros((3, 2), jnp.int32)
        bounds = (jnp.zeros(2, jnp.float32), jnp.ones(2, jnp.float32))
        found = jax.eval_shape(lambda s: maximize(lambda x: -(x**2).sum(1), s, *bounds), starts)
        assert found.points.dtype == np.float32


@BOTH_GPS
def test_arrays_in_another_byte_order_are_the_same_numbers(gp):
    swap = lambda a: a.astype(a.dtype.newbyteorder(">"))  # noqa: E731
    x, y, z, slot = swap(X), swap(Y), [] if gp is exact else [swap(Z)], [4] if gp is exact else []
    kernel = Matern52(ONES, np.float32(1))
    jax.eval_shape(lambda: gp.predict(gp.condition(kernel, 0.1, x, y, *z), x))
    jax.eval_shape(lambda old: gp.add(old, *slot, x[0], y[1]), posterior(gp))
    jax.eval_shape(lambda: sparse.k_means(jax.random.key(0), x, 2))
    jax.eval_shape(lambda: maximize(lambda x: -(x**2).sum(1), x, x.min(0), x.max(0)))
    units = standardizer(x, np.ones(5, bool))
    np.testing.assert_array_equal(units.apply(x), standardizer(X, np.ones(5, bool)).apply(X))
    np.testing.assert_allclose(units.apply(X.tolist()), units.apply(X), rtol=1e-6)


@BOTH_GPS
def test_points_may_be_lists(gp):
    kernel = Matern52(ONES, np.float32(1))
    lists = (X.tolist(), Y.tolist(), *([] if gp is exact else [Z.tolist()]))
    with annotations.at_rest():
        found = jax.eval_shape(lambda: gp.condition(kernel, 0.1, *lists))
        expected = jax.eval_shape(fit_exact if gp is exact else fit_sparse)
        assert jax.tree.leaves(found) == jax.tree.leaves(expected)
        jax.eval_shape(lambda: gp.predict(posterior(gp), X.tolist()))


@pytest.mark.parametrize(
    "slot", [np.int64(2**32 + 4), np.uint64(2**32 + 4), 2**40, np.int64(-(2**32) + 4)]
)
def test_a_slot_beyond_32_bits_is_out_of_range(slot):
    """Cut to 32 bits, it was the number of a free row."""
    mask = np.array([True, True, True, True, False])
    before = fit_exact(mask=mask)
    with annotations.at_rest():
        after = exact.add(before, slot, X[4], 1.0)
        assert not after.mask[4]
        np.testing.assert_array_equal(after.alpha, before.alpha)
        if isinstance(slot, np.generic):
            with jax.enable_x64(True):
                assert not jax.jit(exact.add)(before, jnp.asarray(slot), X[4], 1.0).mask[4]
        with pytest.raises(ValueError, match=r"^slot must be a single number"):
            exact.add(before, np.array([4]), X[4], 1.0)


@pytest.mark.parametrize("shape", [(1,), (4,), (5, 1)])
@EAGER_AND_TRACED
def test_a_mask_of_other_rows_is_refused(shape, call):
    """That of k-means was broadcast."""
    mask = jnp.ones(shape, bool)
    for function in (
        lambda m: sparse.k_means(jax.random.key(0), X, 2, m),
        lambda m: fit_exact(mask=m),
        lambda m: fit_sparse(mask=m),
    ):
        with annotations.at_rest(), pytest.raises(ValueError, match=r"^mask must be \[n\] = \[5\]"):
            call(function, mask)
