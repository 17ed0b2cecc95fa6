"""Safe derivatives of single operations: the values, and every order."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from support.safe_rules import safe

from jaxopt_lab.bilevel import safe_rules
from jaxopt_lab.bilevel.safe_primitives import PLAIN, Slopes

UNARY = {
    "sqrt": lax.sqrt,
    "rsqrt": lax.rsqrt,
    "log": lax.log,
    "log1p": lax.log1p,
    "cbrt": lax.cbrt,
    "power -1": lambda x: lax.integer_pow(x, -1),
    "power -2": lambda x: lax.integer_pow(x, -2),
    "power 0": lambda x: lax.integer_pow(x, 0),
    "power 1": lambda x: lax.integer_pow(x, 1),
    "power 3": lambda x: lax.integer_pow(x, 3),
    "real power": lambda x: lax.pow(x, jnp.full_like(x, 0.5)),
    "power by an integer": lambda x: lax.pow(x, jnp.full(x.shape, 2, jnp.int32)),
    "reciprocal": lambda x: 1 / x,
    "x / x": lambda x: x / x,
    "selected product": lambda x: jnp.where(x > 0, jnp.sqrt(x - 1) * x, x),
    "selected square": lambda x: jnp.where(x > 1, jnp.square(jnp.sqrt(x - 1)), x),
}
if hasattr(lax, "log2"):  # jax 0.12
    UNARY["log2"] = lax.log2
POINTS = np.array(
    [
        *(-np.inf, -2.0, -1.0, -1e-310, -0.0, 0.0, 1e-310, 1e-60),
        *(0.3, 1.0, 7.0, 1e200, np.inf, np.nan),
    ]
)
ORDINARY = np.array([0.3, 1.7, 7.0])


def slope(f):
    """The derivative of an elementwise function."""
    return jax.grad(lambda x: jnp.sum(f(x)))


@pytest.mark.full(
    plain=[
        "rsqrt-float64",
        "log-float32",
        "log-float64",
        "cbrt-float32",
        "power 1-float32",
        "reciprocal-float64",
    ]
)
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
@pytest.mark.parametrize("name", UNARY)
def test_values_are_the_same_to_the_last_bit(name, dtype):
    with np.errstate(over="ignore"):
        x = jnp.asarray(POINTS, dtype)
    for run in (jax.jit, lambda f: f):
        ours, theirs = run(safe(UNARY[name]))(x), run(UNARY[name])(x)
        assert ours.dtype == theirs.dtype
        np.testing.assert_array_equal(np.signbit(ours), np.signbit(theirs))
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.full(plain=["power 0", "power 1", "real power"])
@pytest.mark.parametrize("name", UNARY)
def test_every_order_is_finite_everywhere(name):
    # At 1e-60 the third derivatives, up to 1e210, are still numbers of float64.
    f, x = safe(UNARY[name]), jnp.asarray(POINTS)
    for _ in range(3):
        f = slope(f)
        assert bool(jnp.all(jnp.isfinite(jax.jit(f)(x)))), jax.jit(f)(x)


@pytest.mark.full(plain=["log1p", "power -1", "power -2", "power 0", "power 1"])
@pytest.mark.parametrize("name", [n for n in UNARY if "selected" not in n])
def test_first_and_second_order_are_jax_own_at_ordinary_points(name):
    x = jnp.asarray(ORDINARY)
    ours, theirs = safe(UNARY[name]), UNARY[name]
    for _ in range(2):
        ours, theirs = slope(ours), slope(theirs)
        np.testing.assert_allclose(ours(x), theirs(x), rtol=1e-13, atol=1e-15)


@pytest.mark.full
@pytest.mark.parametrize("op", [lax.div, lax.pow, lax.mul])
def test_two_arguments_and_both_modes(op):
    f = safe(lambda x, y: jnp.where(y > -1e9, op(x, y), x))
    x, y = jnp.array([0.7, 1.3, 2.0]), jnp.array([0.4, 2.0, 3.1])
    for i in (0, 1):
        forward = jax.jacfwd(f, i)(x, y)
        np.testing.assert_allclose(forward, jax.jacfwd(op, i)(x, y), rtol=1e-13)
        np.testing.assert_allclose(forward, jax.jacrev(f, i)(x, y), rtol=1e-13)
    hard = jnp.array([0.0, 0.0, -1.0, np.inf, 1e-310, 2.0])
    x, y = (z.ravel() for z in jnp.meshgrid(hard, hard))
    for i, j in ((0, 0), (0, 1), (1, 1)):
        second = jax.grad(lambda *z, i=i: jnp.sum(jax.grad(_sum(f), i)(*z)), j)
        assert bool(jnp.all(jnp.isfinite(second(x, y))))


def _sum(f):
    return lambda *args: jnp.sum(f(*args))


def test_a_small_denominator_in_float32():
    # jax multiplies by y^-2, which is infinite here.
    x, y = jnp.float32(1e-24), jnp.float32(1e-22)
    assert not np.isfinite(jax.grad(lax.div, 1)(x, y))
    np.testing.assert_allclose(jax.grad(safe(lax.div), 1)(x, y), -1e20, rtol=1e-6)


def test_scalars_beside_arrays():
    f = safe(lambda x: jnp.sum(2.0 / x + x / 3.0))
    np.testing.assert_allclose(jax.grad(f)(ORDINARY), -2 / ORDINARY**2 + 1 / 3)


def test_the_slopes_of_divisions_are_clipped():
    clipped = safe(lax.div, Slopes(max_slope=10.0))
    for y, expected in ((0.01, (10.0, -10.0)), (0.5, (2.0, -8.0))):
        slopes = jax.grad(clipped, (0, 1))(2.0, y)
        assert clipped(2.0, y) == 2.0 / y
        np.testing.assert_allclose(slopes, expected)


def test_integers_and_complex_numbers_are_left_alone():
    text = str(jax.make_jaxpr(safe(lambda i: i // 2 + i**3))(jnp.int32(5)))
    assert "safe" not in text
    text = str(jax.make_jaxpr(safe(lambda z: jnp.sqrt(z) / z))(jnp.complex64(1)))
    assert "safe" not in text


def test_multiplications_are_exchanged_before_a_select_only():
    def f(x):
        return jnp.where(x > 0, x * 2, x) * 3

    text = str(jax.make_jaxpr(safe(f))(1.0))
    assert text.count("safe_mul") == 1
    assert text.count(" mul ") == 1


@pytest.mark.full(plain=["checkpoint"])
@pytest.mark.parametrize(
    "loop",
    [
        lambda f, x: lax.scan(lambda c, _: (f(c), None), x, None, length=2)[0],
        lambda f, x: lax.fori_loop(0, 2, lambda _, c: f(c), x),
        lambda f, x: lax.cond(x[0] < 1e9, f, lambda x: x, x),
        lambda f, x: jax.checkpoint(f)(x),
        lambda f, x: jax.jit(f)(x),
        lambda f, x: jax.vmap(lambda x: lax.cond(x < 1e9, f, lambda x: x, x))(x),
    ],
    ids=["scan", "fori_loop", "cond", "checkpoint", "jit", "cond under vmap"],
)
def test_nested_programs(loop):
    f = lambda x: jnp.where(x > 1, x * jnp.sqrt(x - 1), jnp.sqrt(x))
    x = jnp.array([0.0, 0.5, 1.0])
    call = safe(lambda x: loop(f, x))
    np.testing.assert_array_equal(jax.jit(call)(x), jax.jit(lambda x: loop(f, x))(x))
    assert bool(jnp.all(jnp.isfinite(slope(call)(x))))
    assert bool(jnp.all(jnp.isfinite(slope(slope(call))(x))))
    assert not bool(jnp.all(jnp.isfinite(slope(lambda x: loop(f, x))(x))))


def test_custom_rules_inside_are_left_alone():
    @jax.custom_jvp
    def f(x):
        return jnp.sqrt(x)

    f.defjvp(lambda primals, tangents: (f(*primals), 42.0 * tangents[0]))
    assert jax.grad(safe(lambda x: f(x) + 0.0 * jnp.sqrt(x)))(0.0) == 42.0


def test_scan_drops_custom_jvp():
    """Why the rules are primitives: a gradient through a scan loses the other kind."""

    @jax.custom_jvp
    def custom(x):
        return jnp.sqrt(x)

    @custom.defjvp
    def _(primals, tangents):
        y = custom(*primals)
        half = jnp.where(y > 0, 0.5 / jnp.where(y > 0, y, 1), 0)
        return y, tangents[0] * half

    def primitive(x):
        return safe_rules.sqrt_p.bind(x, accuracy=None, slopes=PLAIN)

    def scan(root):
        body = lambda c, _: (root(c * c), None)
        return lambda x: lax.scan(body, x, None, length=2)[0]

    def program(f):
        return str(jax.make_jaxpr(jax.grad(f))(0.0))

    assert "custom_jvp_call" in program(lambda x: custom(custom(x * x)))
    if jax.__version_info__ < (0, 12):  # later versions keep the rule there, too
        assert "custom_jvp_call" not in program(scan(custom))
        assert " sqrt" in program(scan(custom))
        assert not np.isfinite(jax.grad(jax.grad(scan(custom)))(0.0))
    assert "safe_sqrt" in program(scan(primitive))
    assert " sqrt" not in program(scan(primitive))
    assert jax.grad(jax.grad(scan(primitive)))(0.0) == 0.0
