"""Windows, constant gradients, clipped adjoints, and what is refused."""

import warnings

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxopt_lab
from jaxopt_lab.bilevel import constant_gradient, plan_unroll, unroll
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.training import init_state, make_train_step

N = 11
XS = jnp.linspace(0.5, 1.5, N)


def plain(rate):
    return lambda w, x: w - rate * jnp.sin(3 * w * x)


def measured(rate):
    step = plain(rate)
    return lambda w, x: (step(w, x), {"loss": jnp.cos(w * x) + rate * w, "n": 1})


def pair(rate, w, step=measured, **options):
    out = unroll(step(rate), w, XS, **options)
    return out[0], out[1]["loss"]


def windows_by_hand(rate, w, k):
    """Short window first, each of them from a constant."""
    step, losses, cut = measured(rate), [], N % k
    for t in range(N):
        if t > 0 and (t - cut) % k == 0:
            w = jax.lax.stop_gradient(w)
        w, metrics = step(w, XS[t])
        losses.append(metrics["loss"])
    return w, jnp.stack(losses)


@pytest.mark.full(plain=["11-none"])
@pytest.mark.parametrize("remat", ["none", "step", "sqrt", 3])
@pytest.mark.parametrize("k", [1, 4, 5, 11, 20])
def test_windows(k, remat):
    weights = jnp.cos(jnp.arange(N))

    def total(last, losses):
        return 0.7 * last + jnp.vdot(weights, losses)

    def got(rate, w):
        return total(*pair(rate, w, remat=remat, truncate=k))

    run = jax.jit(jax.value_and_grad(got, (0, 1)))
    value, slopes = run(0.3, 1.2)
    wanted = jax.grad(lambda *x: total(*windows_by_hand(*x, min(k, N))), (0, 1))
    np.testing.assert_allclose(value, total(*pair(0.3, 1.2)), rtol=1e-14)
    np.testing.assert_allclose(slopes, wanted(0.3, 1.2), rtol=1e-12)


@pytest.mark.full
def test_without_metrics_the_last_steps_count():
    def got(rate, w):
        return unroll(plain(rate), w, XS, truncate=4)

    def wanted(rate, w):
        held = jax.lax.stop_gradient(unroll(plain(rate), w, XS[:-4]))
        return unroll(plain(rate), held, XS[-4:])

    assert float(got(0.3, 1.2)) == float(unroll(plain(0.3), jnp.asarray(1.2), XS))
    slopes = jax.grad(got, (0, 1))(0.3, 1.2)
    np.testing.assert_allclose(slopes, jax.grad(wanted, (0, 1))(0.3, 1.2), rtol=1e-13)
    assert float(slopes[1]) == 0
    tangent = jax.jvp(got, (0.3, 1.2), (1.0, 1.0))[1]
    np.testing.assert_allclose(tangent, slopes[0], rtol=1e-13)


def root(rate):
    """The derivative of the first seven steps is no number; their values are fine."""
    return lambda w, t: 0.5 * w + jnp.sqrt(rate * jnp.maximum(t - 6, 0))


def measured_root(rate):
    step = root(rate)
    return lambda w, t: (step(w, t), {"loss": w})


@pytest.mark.full(plain=["jit-none-root"])
@pytest.mark.parametrize("step", [root, measured_root])
@pytest.mark.parametrize("remat", ["none", "step", "sqrt"])
@pytest.mark.parametrize("wrap", [lambda f: f, jax.jit, jax.checkpoint])
def test_what_is_cut_is_not_differentiated(step, remat, wrap):
    def last(rate, truncate=None):
        out = unroll(step(rate), 1.0, 10, remat=remat, truncate=truncate)
        return out[0] if step is measured_root else out

    assert np.isnan(jax.grad(last)(2.0))
    run = wrap(lambda rate: last(rate, 3))
    slope = jax.grad(run)(2.0)
    wanted = (0.25 + 0.5 * 2**0.5 + 3**0.5) * 0.5 / 2**0.5
    np.testing.assert_allclose(slope, wanted, rtol=1e-14)
    np.testing.assert_allclose(jax.jvp(run, (2.0,), (1.0,))[1], slope, rtol=1e-14)


def loss(w):
    return jnp.sum(jnp.sin(w) ** 2) + 0.1 * jnp.sum(w**4)


def first_order_step(rate, decay):
    """A plain step with the keyword."""

    def step(w, t, first_order=False):
        g = jax.grad(loss)(w)
        g = jax.lax.stop_gradient(g) if first_order else g
        return w - rate * (g + decay * w)

    return step


@pytest.mark.full
@pytest.mark.parametrize("truncate", [None, 3])
def test_first_order(truncate):
    w = jnp.array([0.4, -0.9])

    def got(rate, w):
        step = first_order_step(rate, 0.3)
        options = {"truncate": truncate, "remat": "sqrt"}
        return jnp.sum(unroll(step, w, 7, first_order=True, **options))

    def by_hand(rate, w):
        for t in range(7):
            if truncate and t < 7 - truncate:
                w = jax.lax.stop_gradient(first_order_step(rate, 0.3)(w, t))
                continue
            w = w - rate * (jax.lax.stop_gradient(jax.grad(loss)(w)) + 0.3 * w)
        return jnp.sum(w)

    exact = jnp.sum(unroll(first_order_step(0.1, 0.3), w, 7))
    np.testing.assert_array_equal(got(0.1, w), exact)
    slopes = jax.grad(got, (0, 1))(0.1, w)
    for one, two in zip(slopes, jax.grad(by_hand, (0, 1))(0.1, w), strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-12)


def transforms(rate):
    return {
        "adam": optax.adam(rate),
        "sam": optax.chain(jaxopt_lab.sam(0.1), optax.sgd(rate)),
        "msam": optax.chain(jaxopt_lab.msam(0.1, num_shards=2), optax.sgd(rate)),
        "esam": optax.chain(jaxopt_lab.esam(0.1), optax.sgd(rate)),
    }


def run(rate, w, name, wrap):
    """Weights after a few train steps."""
    batch = jnp.array([[0.3, -0.2], [0.8, 0.5], [-0.4, 1.1], [0.2, 0.9]])

    def train_loss(params, state, batch, key):
        each = jnp.sum(jnp.sin(batch * params[None]) ** 2, axis=1)
        return jnp.mean(each), (state, {})

    tx = wrap(transforms(rate)[name])
    state = init_state(tx, w, jax.random.key(0))
    step = make_train_step(train_loss, tx)
    return unroll(step, state, 3, batch_at=lambda t: batch)[0].params


@pytest.mark.full
@pytest.mark.parametrize("name", list(transforms(0.1)))
def test_constant_gradients_of_train_steps(name):
    w = jnp.array([0.7, -0.6])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        values = [
            jax.jit(lambda r, w, wrap=wrap: run(r, w, name, wrap))(0.1, w)
            for wrap in (lambda tx: tx, constant_gradient)
        ]
        jacobians = [
            jax.jit(jax.jacrev(lambda w, f=f: run(0.1, w, name, f)))(w)
            for f in (lambda tx: tx, constant_gradient)
        ]
    np.testing.assert_allclose(*values, rtol=1e-14)
    # Without a Hessian and without decay the last weights follow the first ones.
    np.testing.assert_allclose(jacobians[1], np.eye(2), rtol=1e-12)
    assert np.max(np.abs(jacobians[0] - np.eye(2))) > 1e-3


def test_a_plain_gradient_function_stays_plain():
    tx = constant_gradient(jaxopt_lab.msam(0.1, num_shards=2))
    w = jnp.ones(2)
    with pytest.raises(InputError, match="batch_grad"):
        tx.update(w, tx.init(w), w, grad_fn=lambda p, i=0: p)


@pytest.mark.full
def test_clipped_adjoint():
    rows = jnp.array([[3.0, 0.0], [0.0, 0.5]])

    def got(w, limit):
        state = {"w": w, "n": jnp.int32(0), "key": jax.random.key(0)}
        step = lambda s, t: {**s, "w": rows @ s["w"], "n": s["n"] + 1}
        return jnp.sum(unroll(step, state, 6, remat="sqrt", clip=limit)["w"])

    adjoint = np.ones(2)
    for _ in range(6):
        adjoint = np.asarray(rows).T @ adjoint
        adjoint = adjoint * min(1, 1.5 / np.linalg.norm(adjoint))
    w = jnp.array([0.2, 0.4])
    assert float(got(w, 1.5)) == float(got(w, None))
    np.testing.assert_allclose(jax.grad(got)(w, 1.5), adjoint, rtol=1e-13)
    np.testing.assert_allclose(jax.grad(got)(w, 1e9), jax.grad(got)(w, None))
    # Twice in reverse, and at an adjoint of zero.
    twice = jax.grad(lambda w: jnp.sum(jax.grad(got)(w, 1.5) * w))(w)
    np.testing.assert_allclose(twice, adjoint, rtol=1e-13)
    zero = jax.grad(lambda w: 0 * got(w, 1.5))(w)
    np.testing.assert_array_equal(zero, 0)


def test_clipping_keeps_narrow_types():
    state = {"w": jnp.ones(3, jnp.bfloat16), "v": jnp.ones(2)}

    def got(state):
        with jax.numpy_dtype_promotion("strict"):
            doubled = lambda s, t: jax.tree.map(lambda x: x + x, s)
            return unroll(doubled, state, 3, clip=0.1)["v"][0]

    slopes = jax.grad(got)(state)
    assert slopes["w"].dtype == jnp.bfloat16 and slopes["v"].dtype == jnp.float64
    np.testing.assert_allclose(slopes["v"], [0.1, 0], rtol=1e-7)


KEEP = lambda w, t: w


@pytest.mark.parametrize(
    "step, state, batches, options, words",
    [
        (KEEP, 1.0, 0, {}, "batches_or_n must be at least 1 step; got 0"),
        (KEEP, 1.0, np.zeros((0, 2)), {}, "must hold at least 1 step; got 0"),
        (KEEP, 1.0, {}, {}, "batches_or_n has no arrays"),
        (KEEP, 1.0, jnp.float32(3), {}, "the array is a scalar"),
        (
            KEEP,
            1.0,
            {"x": jnp.ones((3, 2)), "y": jnp.ones(4)},
            {},
            "must have one leading axis; got x: 3; y: 4",
        ),
        (KEEP, 1.0, jnp.ones(3), {"batch_at": lambda t: t}, "batch_at goes with a num"),
        (
            lambda s, t: {"w": s["w"][None], "n": s["n"], "new": t},
            {"w": jnp.ones(2, jnp.float32), "n": jnp.int32(0)},
            3,
            {},
            r"these differ: w: expected float32\[2\], got float32\[1,2\]; new: not exp",
        ),
        (
            lambda s, t: ({"w": s["w"].astype(jnp.bfloat16)}, {"loss": t}),
            {"w": jnp.ones(2, jnp.float32)},
            3,
            {},
            r"w: expected float32\[2\], got bfloat16\[2\]",
        ),
        (
            KEEP,
            1.0,
            3,
            {"remat": "sqr"},
            "unknown remat 'sqr'; perhaps you meant 'sqrt",
        ),
        (
            KEEP,
            1.0,
            3,
            {"remat": 0},
            "remat must be a whole number of at least 1; got 0",
        ),
        (KEEP, 1.0, 3, {"remat": True}, "remat must be a whole number"),
        (KEEP, 1.0, 3, {"remat": 2.5}, "remat must be a whole number"),
        (KEEP, 1.0, 3, {"truncate": 0}, "truncate must be a whole number of at least"),
        (KEEP, 1.0, 3, {"remat": "step", "budget": 9}, "budget goes with remat='auto'"),
        (KEEP, 1.0, 3, {"budget": -1}, "budget must be a positive number of bytes"),
        (KEEP, 1.0, 3, {"budget": 9}, "budget of 9 bytes is too small"),
        (KEEP, 1.0, 3, {"first_order": True}, "first_order=True needs a step with a k"),
        (KEEP, 1.0, 3, {"clip": 0.0}, "clip must be above 0; got 0.0"),
        (KEEP, jnp.int32(1), 3, {"clip": 1.0}, "of which the state has none"),
    ],
)
@pytest.mark.parametrize("call", [unroll, plan_unroll])
def test_bad_input(call, step, state, batches, options, words):
    with pytest.raises(InputError, match=words):
        call(step, state, batches, **options)
