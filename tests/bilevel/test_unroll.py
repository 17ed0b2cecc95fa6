"""Values and derivatives of an unroll: the same with every setting."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from support import unrolled

import jaxopt_lab
from jaxopt_lab.bilevel import checkpointed_scan, unroll
from jaxopt_lab.bilevel.checkpoint_schedule import checkpoint_schedule
from jaxopt_lab.training import init_state, make_train_step

SETTINGS = ["none", "step", "sqrt", 3, 4]
STEPS = 23
SIZES = (3, 2)
PARAMS = jax.jit(lambda key: unrolled.net(4, key, SIZES, jnp.float64))(
    jax.random.key(0)
)
DRAW = np.random.default_rng(0)
BATCHES = jax.device_put(
    (
        DRAW.normal(size=(STEPS, 5, SIZES[0])),
        DRAW.integers(0, SIZES[1], (STEPS, 5), np.int32),
    )
)


def train_loss(params, model_state, batch, key):
    """With a draw and a model state, so that keys and counts are carried."""
    noise = 0.1 * jax.random.normal(key, batch[0].shape, batch[0].dtype)
    loss = unrolled.loss_fn(params, (batch[0] + noise, batch[1]))
    state = {"count": model_state["count"] + 1, "odd": ~model_state["odd"]}
    return loss, (state, {"noise": jnp.sum(noise), "count": model_state["count"]})


def start(tx, params):
    kept = {"count": jnp.int32(0), "odd": jnp.array(False)}
    return init_state(tx, params, jax.random.key(3), kept)


def trained(rate, params, **options):
    """The last state and all metrics of a run of Adam."""
    tx = optax.adam(rate)
    step = make_train_step(train_loss, tx)
    return unroll(step, start(tx, params), BATCHES, **options)


def outer(rate, params, **options):
    """A function of the last parameters and of all losses, with everything beside."""
    state, metrics = trained(rate, params, **options)
    value = unrolled.loss_fn(state.params, jax.tree.map(lambda x: x[0], BATCHES))
    return value + 0.1 * jnp.sum(metrics["loss"]), (state, metrics)


def by_hand(rate, params):
    """The same with a loop in Python."""
    tx = optax.adam(rate)
    step = jax.jit(make_train_step(train_loss, tx))
    state, losses = start(tx, params), []
    for t in range(STEPS):
        state, metrics = step(state, jax.tree.map(lambda x, t=t: x[t], BATCHES))
        losses.append(metrics["loss"])
    return state, jnp.stack(losses)


def gradients(**options):
    run = jax.value_and_grad(
        lambda *args: outer(*args, **options), (0, 1), has_aux=True
    )
    return jax.jit(run)(0.05, PARAMS)


@pytest.fixture(scope="module")
def plain():
    return gradients(remat="none")


def numbers(tree):
    is_key = lambda x: jnp.issubdtype(x.dtype, jax.dtypes.prng_key)
    return [jax.random.key_data(x) if is_key(x) else x for x in jax.tree.leaves(tree)]


# Equal to the last bit where the compiler optimizes, as in the full run.
@pytest.mark.full
@pytest.mark.parametrize("remat", [*SETTINGS[1:], "auto"])
def test_every_setting_gives_the_same(remat, plain):
    got = gradients(remat=remat)
    # Not the sum over the losses, whose order is the compiler's choice.
    for one, two in zip(numbers(got[0][1]), numbers(plain[0][1]), strict=True):
        np.testing.assert_array_equal(one, two)
    for one, two in zip(numbers(got[1]), numbers(plain[1]), strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-12, atol=1e-14)


@pytest.mark.full
def test_values_are_those_of_a_loop_in_python(plain):
    state, losses = by_hand(0.05, PARAMS)
    _, (last, metrics) = plain[0]
    np.testing.assert_allclose(metrics["loss"], losses, rtol=1e-12)
    np.testing.assert_array_equal(metrics["count"], np.arange(STEPS))
    assert int(last.step) == STEPS and bool(last.model_state["odd"])
    chex.assert_trees_all_close(last.params, state.params, rtol=1e-10)
    np.testing.assert_array_equal(*map(jax.random.key_data, (last.key, state.key)))


@pytest.mark.full
def test_values_without_a_derivative_are_those_with_one(plain):
    values = jax.jit(lambda *args: outer(*args, remat=3))(0.05, PARAMS)
    for one, two in zip(numbers(values), numbers(plain[0]), strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-14)


@pytest.mark.full
def test_gradients_equal_central_differences(plain):
    _, (rate, params) = plain
    direction = jax.tree.map(lambda x: jnp.cos(jnp.arange(x.size)), PARAMS)
    direction = jax.tree.map(lambda d, p: d.reshape(p.shape), direction, PARAMS)
    moved = lambda h: jax.tree.map(lambda p, d: p + h * d, PARAMS, direction)
    fn = jax.jit(lambda *args: outer(*args, remat="none")[0])
    h = 1e-5
    numeric = (fn(0.05 + h, PARAMS) - fn(0.05 - h, PARAMS)) / (2 * h)
    np.testing.assert_allclose(rate, numeric, rtol=1e-6)
    numeric = (fn(0.05, moved(h)) - fn(0.05, moved(-h))) / (2 * h)
    along = sum(map(jnp.vdot, jax.tree.leaves(params), jax.tree.leaves(direction)))
    np.testing.assert_allclose(along, numeric, rtol=1e-6)


@pytest.mark.full
def test_forward_mode_agrees(plain):
    forward = jax.jit(jax.jacfwd(lambda r: outer(r, PARAMS, remat="sqrt")[0]))(0.05)
    np.testing.assert_allclose(forward, plain[1][0], rtol=1e-9)


def test_batches_by_number_and_by_function():
    step = lambda w, batch: w + batch
    at = lambda t: (t * t).astype(jnp.float64)
    assert float(unroll(step, jnp.zeros(()), 5, batch_at=at)) == 30
    assert float(unroll(step, jnp.zeros(()), jnp.arange(5.0) ** 2)) == 30
    assert int(unroll(step, jnp.int32(0), np.int64(5))) == 10


def test_a_pair_is_a_state_where_the_state_is_one():
    swap = lambda pair, t: (pair[1], pair[0] + t)
    one, two = unroll(swap, (jnp.int32(0), jnp.int32(1)), 3)
    assert (int(one), int(two)) == (2, 2)


def test_derivative_with_respect_to_batches():
    loss = lambda b: unroll(lambda w, x: w * x, jnp.ones(()), b, remat=2)
    batches = jnp.array([2.0, 3.0, 5.0])
    np.testing.assert_allclose(jax.grad(loss)(batches), [15.0, 10.0, 6.0])


def test_integers_have_no_tangent():
    def run(count, w):
        return unroll(lambda s, t: (s[0] + 1, s[1] * 2), (count, w), 4, remat=2)

    tangents = np.zeros((), jax.dtypes.float0), 1.0
    _, (count, w) = jax.jvp(run, (jnp.int32(0), 1.0), tangents)
    assert count.dtype == jax.dtypes.float0 and float(w) == 16
    grad = jax.grad(lambda *x: run(*x)[1], (0, 1), allow_int=True)
    count, w = grad(jnp.int32(0), 1.0)
    assert count.dtype == jax.dtypes.float0 and float(w) == 16
    with pytest.raises(TypeError, match="int32"):
        jax.grad(lambda *x: run(*x)[1], (0, 1))(jnp.int32(0), 1.0)


@pytest.mark.full
def test_under_vmap_jit_and_checkpoint(plain):
    run = lambda rate: outer(rate, PARAMS, remat="sqrt")[0]
    rates = jnp.array([0.05, 0.02])
    together = jax.jit(jax.vmap(jax.grad(jax.checkpoint(run))))(rates)
    one = jax.jit(jax.grad(run))
    np.testing.assert_allclose(together, [one(r) for r in rates], rtol=1e-9)
    np.testing.assert_allclose(together[0], plain[1][0], rtol=1e-9)


@pytest.mark.full
def test_second_derivatives():
    quartic = lambda w, t: w - 0.1 * w**3
    run = lambda w, remat: unroll(quartic, w, 6, remat=remat)
    second = [jax.grad(jax.grad(run))(1.5, remat) for remat in SETTINGS]
    h = 1e-5
    slope = jax.grad(run)
    numeric = (slope(1.5 + h, "none") - slope(1.5 - h, "none")) / (2 * h)
    np.testing.assert_allclose(second, np.full(len(SETTINGS), numeric), rtol=1e-8)


@pytest.mark.full
def test_second_derivatives_through_a_buffer_of_momenta():
    """In reverse twice; the buffer starts its sum anew by a loop of no or one turn."""

    def run(rate):
        tx = jaxopt_lab.adam_cm(rate, capacity=2, priority_decay=0.9, eps=1e-3)
        w = jnp.array([1.0, -0.5])

        def step(state, t):
            w, opt_state = state
            updates, opt_state = tx.update(jnp.sin(3 * w + t), opt_state, w)
            return w + updates, opt_state

        return jnp.sum(unroll(step, (w, tx.init(w)), 6, remat="sqrt")[0] ** 2)

    slope = jax.grad(run)
    h = 1e-5

    @jax.jit
    def both(rate):
        return jax.grad(slope)(rate), (slope(rate + h) - slope(rate - h)) / (2 * h)

    np.testing.assert_allclose(*both(0.05), rtol=1e-6)


def test_the_number_of_bodies_does_not_grow():
    def traced(n, remat):
        calls = []
        jax.make_jaxpr(
            lambda w: checkpointed_scan(
                lambda w, t: calls.append(0) or w, w, n, remat=remat
            )
        )(1.0)
        return len(calls)

    assert traced(1000, 3) == traced(16, 2) == 1
    assert traced(997, 3) == traced(10007, 4) == 2


@pytest.mark.parametrize(
    "n, levels, expected, rest",
    [
        (1000, 1, (1000,), 0),
        (1000, 2, (25, 40), 0),
        (1000, 3, (10, 10, 10), 0),
        (1000, 4, (5, 5, 5, 8), 0),
        (997, 2, (31, 32), 5),
        (997, 3, (9, 10, 11), 7),
        (10007, 2, (87, 115), 2),
        (10007, 3, (15, 23, 29), 2),
        (1, 3, (1,), 0),
        (3, 4, (3,), 0),
    ],
)
def test_lengths(n, levels, expected, rest):
    assert checkpoint_schedule(n, levels) == (expected, rest)


@pytest.mark.parametrize("levels", [2, 3, 4])
def test_lengths_are_the_best(levels):
    def best(n, product, total, left, lowest):
        found = total + n - product
        if left:
            for factor in range(lowest, n // product + 1):
                if total + factor >= found:
                    break
                chosen = best(n, product * factor, total + factor, left - 1, factor)
                found = min(found, chosen)
        return found

    for n in range(2, 400):
        found = checkpoint_schedule(n, levels)
        assert found.steps == n
        assert found.carries == min(
            best(n, first, first, levels - 1, first) for first in range(2, n + 1)
        )
