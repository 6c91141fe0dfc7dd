"""Maximisation within a box, against SciPy's L-BFGS-B and exact optima."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize
from hypothesis import given, settings
from hypothesis import strategies as st

from wrlso import acquisition
from wrlso.gp import exact
from wrlso.gp.kernels import Matern52
from wrlso.maximize import maximize, rowwise
from wrlso.maximize.box import _first_primes

BOTH = pytest.mark.parametrize("dtype", [np.float32, np.float64])


def x64(dtype):
    return jax.enable_x64(dtype == np.float64)


def box(d, low=-1.0, high=1.0):
    return jnp.full(d, low), jnp.full(d, high)


def least_squares(a, b, x):
    return -0.5 * ((x @ a.T - b) ** 2).sum(-1)


@jax.jit
def fit_least_squares(a, b, starts, lower, upper):
    return maximize(partial(least_squares, a, b), starts, lower, upper, 100)


@BOTH
@pytest.mark.parametrize("reach", [0.3, 1.5, 30.0])
def test_concave_quadratic_is_solved_as_by_active_sets(dtype, reach):
    """The unconstrained optimum lies inside, near faces, and far beyond corners."""
    d, starts = 6, 5
    faces = 0
    for seed in range(8):
        rng = np.random.default_rng(seed)
        a = rng.normal(size=(d + 2, d)) + 0.2
        b = a @ rng.normal(size=d) * reach + 0.1 * rng.normal(size=d + 2)
        lower, upper = -rng.uniform(0.5, 1.5, d), rng.uniform(0.5, 1.5, d)
        expected = scipy.optimize.lsq_linear(a, b, (lower, upper), method="bvls", tol=1e-14)
        faces += expected.active_mask.astype(bool).sum()
        with x64(dtype):
            found = fit_least_squares(
                *(jnp.asarray(v, dtype) for v in (a, b)),
                jnp.asarray(rng.uniform(-2, 2, (starts, d)), dtype),
                *(jnp.asarray(v, dtype) for v in (lower, upper)),
            )
            assert found.points.dtype == found.values.dtype == dtype
        tolerance = 1e-2 if dtype == np.float32 else 1e-5
        np.testing.assert_allclose(found.points[0], expected.x, atol=tolerance)
        value = least_squares(a, b, np.asarray(found.points, np.float64))
        rounding = 2e-6 if dtype == np.float32 else 1e-10
        assert (-value - expected.cost <= rounding * (1 + expected.cost + (b**2).sum())).all()
    assert (faces == 0) == (reach == 0.3)


@BOTH
def test_linear_function_ends_in_the_corner(dtype):
    signs = np.array([1, -1, -1, 1, 1])
    with x64(dtype):
        lower, upper = box(5, -2.0, 0.5)
        found = jax.jit(
            lambda s: maximize(lambda x: x @ jnp.asarray(signs, x.dtype), s, lower, upper)
        )(jnp.zeros((3, 5), dtype))
    np.testing.assert_array_equal(found.points, np.tile(np.where(signs > 0, 0.5, -2.0), (3, 1)))


def rosenbrock(x):
    return -(100 * (x[..., 1:] - x[..., :-1] ** 2) ** 2 + (1 - x[..., :-1]) ** 2).sum(-1)


@pytest.mark.parametrize(("d", "high"), [(2, 2.0), (5, 2.0), (5, 0.6)])
def test_rosenbrock_as_by_scipy(d, high):
    """The optimum lies inside, or (``high = 0.6``) on faces at the end of the valley."""
    start = np.full(d, -0.5)
    with jax.enable_x64(True):
        lower, upper = box(d, -1.0, high)
        single = jax.jit(jax.value_and_grad(lambda x: -rosenbrock(x)))
        expected = scipy.optimize.minimize(
            lambda x: tuple(np.asarray(v) for v in single(x)),
            start,
            jac=True,
            method="L-BFGS-B",
            bounds=[(-1.0, high)] * d,
            options={"ftol": 1e-15, "gtol": 1e-10},
        )
        found = jax.jit(lambda s: maximize(rosenbrock, s, lower, upper, 300))(start[None])
        assert float(found.values[0]) >= -expected.fun - 1e-8
    np.testing.assert_allclose(found.points[0], expected.x, atol=1e-4)


def wavy(coefficients, x):
    """Many maxima: two cosines a dimension and a product."""
    a, b, c = coefficients
    return (a * jnp.cos(3 * x + b)).sum(-1) + jnp.cos(7 * x * c).sum(-1) + x.prod(-1)


@partial(jax.jit, static_argnums=4)
def climb_wavy(coefficients, starts, lower, upper, evaluations):
    f = partial(wavy, coefficients)
    clipped = jnp.clip(starts, lower, upper)
    found = maximize(f, starts, lower, upper, evaluations)
    return found, f(clipped), f(found.points)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from([1, 25]),
    st.sampled_from([0.01, 1.0, 1000.0]),
    st.booleans(),
)
def test_never_below_the_starts_and_never_outside(seed, evaluations, size, double):
    d = 3
    dtype = np.float64 if double else np.float32
    rng = np.random.default_rng(seed)
    lower = rng.uniform(-size, size, d).astype(dtype)
    upper = lower + rng.uniform(0, size, d).astype(dtype)
    starts = rng.uniform(-2 * size, 2 * size, (4, d)).astype(dtype)
    with x64(dtype):
        found, at_starts, again = climb_wavy(
            rng.normal(size=(3, d)).astype(dtype), starts, lower, upper, evaluations
        )
    found, at_starts = jax.tree.map(np.asarray, (found, at_starts))
    assert found.points.dtype == found.values.dtype == dtype
    assert (found.points >= lower).all()
    assert (found.points <= upper).all()
    assert sorted(found.origin) == [0, 1, 2, 3]
    assert (np.diff(found.values) <= 0).all()
    rounding = 1e-5 if dtype == np.float32 else 1e-12
    slack = rounding * (1 + np.abs(at_starts).max() + size)  # Cosines of large arguments.
    assert (found.values >= at_starts[found.origin] - slack).all()
    np.testing.assert_allclose(again, found.values, rtol=rounding, atol=slack)
    if evaluations == 1:
        np.testing.assert_array_equal(found.points, np.clip(starts, lower, upper)[found.origin])


@BOTH
def test_units_of_points_and_values_do_not_matter(dtype):
    def climb(size, height):
        def f(x):
            return -height * ((x / size - 0.2) ** 2 * jnp.array([1.0, 5.0])).sum(-1)

        starts = size * jnp.array([[-0.9, 0.9], [0.5, 0.5]], dtype)
        return maximize(f, starts, *(size * v for v in box(2)), 40).points / size

    with x64(dtype):
        sizes, heights = np.meshgrid([1e-3, 1.0, 1e3], [1e-6, 1.0, 1e6])
        found = jax.jit(jax.vmap(climb))(
            jnp.asarray(sizes.ravel(), dtype), jnp.asarray(heights.ravel(), dtype)
        )
    np.testing.assert_allclose(found, 0.2, atol=1e-3)


def peak(x):
    """Largest at 1; NaN beyond 1.5 and minus infinity below -1."""
    value = -((x - 1.0) ** 2).sum(-1)
    value = jnp.where((x > 1.5).any(-1), jnp.nan, value)
    return jnp.where((x < -1.0).any(-1), -jnp.inf, value)


def test_regions_and_starts_that_are_not_finite():
    lower, upper = box(2, -2.0, 2.0)
    starts = jnp.array(
        [
            [0.0, 0.5],
            [1.9, 0.0],
            [-1.5, 1.0],
            [jnp.nan, 0.0],
            [jnp.nan, jnp.nan],
            [jnp.inf, -jnp.inf],
        ]
    )
    found = jax.jit(lambda s: maximize(peak, s, lower, upper, 60))(starts)
    assert (jnp.abs(found.points) <= 2).all()
    np.testing.assert_allclose(found.points, 1.0, atol=1e-2)
    np.testing.assert_allclose(found.values, 0.0, atol=1e-4)


def test_a_slope_that_is_not_finite_is_no_place_to_be():
    """``sqrt`` has a slope of infinity, and below zero a value of NaN."""
    f = lambda x: jnp.sqrt(x).sum(-1) - x.sum(-1)  # noqa: E731
    lower, upper = box(2)
    found = jax.jit(lambda s: maximize(f, s, lower, upper, 60))(
        jnp.array([[0.0, 0.0], [0.5, 0.9], [-1.0, 0.3]])
    )
    np.testing.assert_allclose(found.points, 0.25, atol=1e-2)


@jax.jit
def maximize_constant(constant, starts, lower, upper):
    return maximize(lambda x: x.sum(-1) * 0 + constant, starts, lower, upper, 10)


@pytest.mark.parametrize("constant", [np.nan, np.inf, -np.inf, 0.0])
def test_nothing_to_gain_still_returns_points_within_the_bounds(constant):
    lower, upper = jnp.array([-1.0, 2.0]), jnp.array([0.0, 5.0])
    found = maximize_constant(constant, jnp.zeros((3, 2)), lower, upper)
    assert ((found.points >= lower) & (found.points <= upper)).all()
    np.testing.assert_array_equal(found.values, constant if constant == 0 else -np.inf)


@BOTH
def test_a_dimension_without_width(dtype):
    targets = np.array([0.5, 0.0, -0.5])
    along, across = np.diag([1.0, 0.0, 1.0]), np.array([[1, 0, 0], [0, 0, 0], [0, 2, 1]])
    with x64(dtype):
        starts = jnp.array([[-0.5, 9.0, 0.1], [0.0, 0.0, 0.0]], dtype)
        lower, upper = jnp.array([-1.0, 0.3, -1.0], dtype), jnp.array([1.0, 0.3, 0.9], dtype)
        # The slope in that dimension is some, none, or tied to the slope in another one.
        for a, expected in ((np.eye(3), -0.5), (along, -0.5), (across, -1.1)):
            found = fit_least_squares(
                jnp.asarray(a, dtype), jnp.asarray(targets, dtype), starts, lower, upper
            )
            expected = np.maximum([0.5, 0.3, expected], lower)
            np.testing.assert_allclose(found.points, [expected] * 2, atol=1e-3)
        found = fit_least_squares(
            jnp.eye(3, dtype=dtype), jnp.asarray(targets, dtype), starts, lower, lower
        )
        np.testing.assert_array_equal(found.points, [lower, lower])


def test_batched_is_one_by_one():
    with jax.enable_x64(True):
        rng = np.random.default_rng(0)
        coefficients, starts = rng.normal(size=(4, 3, 2)), rng.uniform(-1, 1, (4, 4, 2))
        lower, upper = -rng.uniform(0.5, 1, (4, 2)), rng.uniform(0.5, 1, (4, 2))
        batched, *_ = jax.vmap(lambda *a: climb_wavy(*a, 25))(coefficients, starts, lower, upper)
        for i in range(4):
            single, *_ = climb_wavy(coefficients[i], starts[i], lower[i], upper[i], 25)
            np.testing.assert_allclose(batched.values[i], single.values, rtol=1e-7)
            np.testing.assert_allclose(batched.points[i], single.points, atol=1e-5)
            np.testing.assert_array_equal(batched.origin[i], single.origin)


def test_lanes_are_blind_to_each_other():
    """A start ends where it would have ended without the others, until it sets out anew."""
    with jax.enable_x64(True):
        rng = np.random.default_rng(1)
        a, b = jnp.asarray(rng.normal(size=(7, 5))), jnp.asarray(rng.normal(size=7))
        starts = rng.uniform(-1, 1, (6, 5))
        climb = jax.jit(lambda s: maximize(partial(least_squares, a, b), s, *box(5), 6))
        together = climb(starts)
        alone = [climb(starts[i : i + 1]).values[0] for i in together.origin]
        np.testing.assert_allclose(together.values, alone, rtol=1e-9)


@pytest.mark.parametrize("evaluations", [1, 17])
def test_exactly_the_evaluations_asked_for(evaluations):
    calls = []

    def counted(points):
        jax.debug.callback(lambda p: calls.append(p.copy()), points)
        return rowwise(partial(wavy, jnp.ones((3, 2))))(points)

    starts = jnp.linspace(-0.9, 0.9, 8).reshape(4, 2)
    found = maximize(None, starts, *box(2), evaluations, value_and_grad=counted)
    jax.effects_barrier()
    assert [c.shape for c in calls] == [(4, 2)] * evaluations
    seen = wavy(jnp.ones((3, 2)), jnp.stack(calls)).max(0)
    np.testing.assert_allclose(found.values, seen[found.origin], rtol=1e-5)


def test_own_derivative_is_used():
    """Here one that is zero along the second dimension."""
    f = lambda x: -((x - 0.3) ** 2).sum(-1)  # noqa: E731
    half = lambda x: (f(x), -2 * (x - 0.3) * jnp.array([1.0, 0.0]))  # noqa: E731
    starts = jnp.array([[0.9, -0.9]])
    found = jax.jit(lambda s: maximize(None, s, *box(2), 3, value_and_grad=half))(starts)
    np.testing.assert_allclose(found.points, [[0.3, -0.9]], atol=1e-5)


# --- Acquisition functions ---------------------------------------------------------------------

PROBLEMS, STARTS, CAPACITY = 10, 20, 200


def problem(seed, d):
    """Data of a smooth random function in [-1, 1]^d, padded, and starts."""
    rng = np.random.default_rng(seed)
    n = rng.integers(50, CAPACITY + 1)
    x = rng.uniform(-1, 1, (CAPACITY, d))
    waves = rng.normal(size=(8, d)) * (3.0 if d == 2 else 1.5)
    y = np.cos(x @ waves.T + rng.uniform(0, 6, 8)).sum(1) + 0.02 * rng.normal(size=CAPACITY)
    mask = np.arange(CAPACITY) < n
    y = (y - y[:n].mean()) / y[:n].std()
    lengthscales = rng.uniform(0.7, 1.4, d) * (0.4 if d == 2 else 1.0)
    return x, y, mask, lengthscales, rng.uniform(-1, 1, (STARTS, d))


def posterior(x, y, mask, lengthscales):
    kernel = Matern52(lengthscales, jnp.ones((), lengthscales.dtype))
    return exact.condition(kernel, 1e-3, x, y, mask), jnp.where(mask, y, -jnp.inf).max()


def log_ei(gp_and_best, x):
    gp, best = gp_and_best
    return acquisition.log_expected_improvement(*exact.predict(gp, x), best)


@pytest.mark.slow
def test_expected_improvement_is_climbed_as_high_as_by_scipy():
    """In float32, from the same starts, all problems of a size as one batch."""
    good = [as_high_as_scipy(problem(seed, d) for seed in range(PROBLEMS)) for d in (2, 10)]
    assert np.mean(good) >= 0.95


def as_high_as_scipy(problems):
    stacked = [np.stack(a) for a in zip(*problems, strict=True)]
    starts = stacked[-1]
    d = starts.shape[-1]

    def climb(x, y, mask, lengthscales, starts):
        gp = posterior(x, y, mask, lengthscales)
        return maximize(partial(log_ei, gp), starts, *box(d)).points

    single = [a.astype(np.float32) if a.dtype == np.float64 else a for a in stacked]
    ours = np.asarray(jax.jit(jax.vmap(climb))(*single), np.float64)
    with jax.enable_x64(True):
        gps = jax.jit(jax.vmap(posterior))(*stacked[:4])
        ours = np.asarray(jax.jit(jax.vmap(log_ei))(gps, ours)).max(1)
        objective = jax.jit(jax.value_and_grad(lambda x, gp: -log_ei(gp, x[None])[0]))

        def by_scipy(gp, start):
            return -scipy.optimize.minimize(
                lambda x: tuple(np.asarray(v) for v in objective(x, gp)),
                start,
                jac=True,
                method="L-BFGS-B",
                bounds=[(-1, 1)] * d,
            ).fun

        theirs = [
            max(by_scipy(jax.tree.map(lambda leaf, i=i: leaf[i], gps), s) for s in starts[i])
            for i in range(PROBLEMS)
        ]
    return ours >= np.array(theirs) + np.log(0.999)


def test_it_does_not_stop_half_way_up_the_highest():
    """Climbs that arrived low set out again and may be on their way up something higher."""
    rng = np.random.default_rng(1)
    slopes, shifts, sizes = rng.normal(size=(40, 2)) * 3, rng.uniform(0, 6, 40), rng.normal(size=40)
    function = lambda x: jnp.sin(x @ slopes.T + shifts) @ sizes  # noqa: E731
    lower, upper = box(2, -3, 3)
    climb = jax.jit(lambda starts: maximize(function, starts, lower, upper, 60, until_arrived=True))
    further = jax.jit(lambda x: maximize(function, x[None], x - 0.05, x + 0.05, 30).values[0])
    for starts in jnp.asarray(rng.uniform(-3, 3, (40, 20, 2)), jnp.float32):
        found = climb(starts)
        assert further(found.points[0]) < found.values[0] + 1e-2


def test_starts_without_a_value_have_not_arrived():
    function = lambda x: jnp.where(x[:, 0] < 0.5, jnp.nan, -((x[:, 0] - 0.8) ** 2))  # noqa: E731
    lower, upper = box(1, 0, 1)
    found = maximize(function, jnp.zeros((4, 1)), lower, upper, 40, until_arrived=True)
    assert found.values[0] == pytest.approx(0, abs=1e-6)


# --- Derivatives and bounds -----------------------------------------------------------------------


def ridge(c, x):
    """Several hills; the second dimension ends at a bound."""
    return (
        -((x[:, 0] - jnp.sin(c)) ** 2) * (1 + c**2)
        + 0.3 * jnp.cos(3 * x[:, 0] * c)
        + 2 * c * x[:, 1]
    )


@pytest.mark.parametrize("until_arrived", [False, True])
def test_derivatives_of_maxima(until_arrived):
    """Against differences of whole climbs: of values with points fixed, and of points that move
    with the function and, at a bound, with that."""
    starts = np.random.default_rng(0).uniform(-1, 1, (5, 2))

    def found(c, differentiable_points=False):
        result = maximize(
            partial(ridge, c),
            jnp.asarray(starts),
            -jnp.ones(2),
            jnp.array([1.0, 0.5]) * c,
            40,
            until_arrived=until_arrived,
            differentiable_points=differentiable_points,
        )
        return result.values[0], result.points[0]

    @jax.jit
    def derivatives(c):
        forward = lambda f: jax.jvp(f, (c,), (jnp.ones_like(c),))[1]  # noqa: E731
        moving = lambda c: found(c, True)[1]  # noqa: E731
        values = jax.grad(lambda c: found(c)[0])(c), forward(lambda c: found(c)[0])
        points = jax.jacrev(moving)(c), forward(moving)
        return found(c), values, points, jax.jacrev(lambda c: found(c)[1])(c)

    with jax.enable_x64(True):
        c, step = jnp.float64(0.7), 1e-5
        (up, _, _, _), (down, _, _, _) = derivatives(c + step), derivatives(c - step)
        by_value, by_points = jax.tree.map(lambda a, b: (a - b) / (2 * step), up, down)
        _, values, points, constant = derivatives(c)
    error = 1e-5 if until_arrived else 1e-6  # of climbs that end early
    np.testing.assert_allclose(values, [by_value] * 2, rtol=error)
    np.testing.assert_allclose(points, [by_points] * 2, rtol=200 * error)
    assert abs(by_points[1] - 0.5) < 1e-8
    np.testing.assert_array_equal(constant, 0.0)


def test_second_derivatives_of_values_follow_the_points():
    starts = jnp.zeros((2, 2))

    def value(c):
        bounds = -jnp.ones(2), jnp.array([1.0, 0.5])
        found = maximize(partial(ridge, c), starts, *bounds, 30, differentiable_points=True)
        return found.values[0]

    with jax.enable_x64(True):
        slopes = jax.jit(lambda c: (jax.grad(value)(c), jax.hessian(value)(c)))
        up, down = slopes(0.7 + 1e-4)[0], slopes(0.7 - 1e-4)[0]
        np.testing.assert_allclose(slopes(0.7)[1], (up - down) / 2e-4, rtol=1e-5)


def test_a_derivative_is_finite_beside_starts_without_a_value():
    """Those have a slope of NaN in reach of the reverse mode, and do not move."""
    starts = jnp.array([[0.5], [-1.0]])

    def found(c):
        function = lambda x: jnp.log(x[:, 0]) - c * x[:, 0]  # noqa: E731
        narrow = jnp.array([[0.1], [-1.0]]), jnp.array([[2.0], [-0.5]])
        result = maximize(function, starts, *narrow, 20, differentiable_points=True)
        return result.values[0] + 0 * result.points.sum(), result.points[0, 0]

    slope, move = jax.jit(jax.jacrev(found))(2.0)
    assert slope == pytest.approx(-0.5, rel=1e-2)
    assert move == pytest.approx(-0.25, rel=5e-2)


def test_a_function_of_its_own_gradient_only_and_what_it_closes_over():
    """A custom VJP has no forward mode; the closure holds keys and whole numbers of the trace."""

    @jax.custom_vjp
    def square(x):
        return x * x

    square.defvjp(lambda x: (square(x), x), lambda x, bar: (2 * x * bar,))

    @jax.jit
    def best(c, key, row):
        at = jax.random.uniform(key, (3,))[row]
        function = lambda x: -square(x[:, 0] - at) + c * x[:, 0]  # noqa: E731
        return maximize(function, jnp.zeros((2, 1)), *box(1), 20).values[0]

    key = jax.random.key(0)
    slope = jax.grad(best)(0.3, key, 2)
    assert slope == pytest.approx(float(jax.random.uniform(key, (3,))[2]) + 0.15, abs=1e-3)


@pytest.mark.parametrize("bad", [(1.0, -1.0), (np.nan, 1.0), (-1.0, np.nan)])
def test_bounds_without_a_box_are_refused_or_give_nan(bad):
    lower, upper = (jnp.array([value, side]) for value, side in zip(bad, (-1.0, 1.0), strict=True))
    climb = lambda lower, upper: maximize(  # noqa: E731
        lambda x: -(x**2).sum(-1), jnp.zeros((2, 2)), lower, upper, 5
    )
    with pytest.raises(ValueError, match="lower must not exceed upper"):
        climb(lower, upper)
    found = jax.jit(climb)(lower, upper)
    assert np.isnan(found.points).all()
    np.testing.assert_array_equal(found.values, -np.inf)
    own = jax.jit(climb)(jnp.stack([lower, -jnp.ones(2)]), jnp.stack([upper, jnp.ones(2)]))
    assert own.origin.tolist() == [1, 0]
    np.testing.assert_array_equal(own.points[0], 0.0)
    assert np.isnan(own.points[1]).all()


@pytest.mark.parametrize("kind", [np.float16, jnp.bfloat16, np.int32], ids=["f16", "bf16", "int"])
def test_short_starts_climb_in_single_precision(kind):
    starts = np.array([[0, 1], [2, -1]]).astype(kind)
    found = maximize(lambda x: -1e5 * ((x - 0.5) ** 2).sum(-1), starts, -3, 3)
    assert found.points.dtype == jnp.float32
    np.testing.assert_allclose(found.points, 0.5, atol=1e-3)


@pytest.mark.parametrize("lower", [-np.inf, 0.25])
def test_infinite_sides_need_no_bound(lower):
    starts = jnp.array([[jnp.nan, 3.0], [30.0, jnp.nan]])
    with jax.debug_nans(True):
        found = maximize(lambda x: -((x - 1.5) ** 2).sum(-1), jnp.nan_to_num(starts), lower, np.inf)
    np.testing.assert_allclose(found.points, 1.5, atol=1e-3)
    found = maximize(lambda x: -((x - 1.5) ** 2).sum(-1), starts, lower, np.inf)
    np.testing.assert_allclose(found.points, 1.5, atol=1e-3)


@pytest.mark.parametrize("until_arrived", [False, True])
def test_no_start_has_no_end(until_arrived):
    found = maximize(lambda x: x.sum(-1), jnp.zeros((0, 2)), 0, 1, until_arrived=until_arrived)
    assert found.points.shape == (0, 2)


@pytest.mark.parametrize("where", ["closure", "constant"])
def test_no_array_of_a_trace_outlives_it(where):
    table = jnp.arange(3.0)

    def value(centre):
        near = table[1] if where == "constant" else centre
        return maximize(lambda x: -((x - near * centre) ** 2).sum(-1), jnp.zeros((2, 1)), -3, 3)

    with jax.checking_leaks():
        values = jax.jit(lambda centre: value(centre).values)(jnp.float32(1.0))
        slope = jax.grad(lambda centre: value(centre).values.sum())(jnp.float32(1.0))
    assert np.isfinite(values).all()
    assert np.isfinite(slope)


def test_the_first_primes():
    naive = [n for n in range(2, 600) if all(n % m for m in range(2, n))]
    for n in (*range(20), 100):
        assert _first_primes(n) == naive[:n]
    many = _first_primes(50_000)  # that many dimensions cost no seconds
    assert (len(many), many[9_999], many[-1]) == (50_000, 104_729, 611_953)
