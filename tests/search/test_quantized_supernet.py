"""Edges of the quantized supernet against plain NumPy, and its step by hand."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.search import (
    architecture_entropy,
    chosen_operation,
    edge_bit_operations,
    mixed_operations,
    quant_search,
    quantization_noise,
    rescaled_branch,
)

RNG = np.random.default_rng(0)
BITS = (2, 4)
X = RNG.normal(size=(3, 4))
W = RNG.normal(size=(4, 4))
V = RNG.normal(size=(1, 4))
Z = RNG.normal(size=(3, 2))
OPS = (lambda w, x: x @ w, lambda v, x: x * v, lambda w, x: x)
MACS = (16.0, 4.0, 0.0)


def edge(key, x, w, v, z, **options):
    return mixed_operations(key, x, (w, v, None), z, OPS, BITS, **options)


def noises(key, value):
    parts = [
        quantization_noise(jax.random.fold_in(key, i), value, bits=b)
        for i, b in enumerate(BITS)
    ]
    return jnp.stack(parts)


@functools.cache
def found():
    """Everything that is compared, in one program."""

    def run(x, w, v, z):
        key = jax.random.key(1)
        keys = [jax.random.split(jax.random.fold_in(key, i)) for i in range(3)]
        total = lambda z, w: jnp.sum(jnp.sin(edge(key, x, w, v, z)))
        small = 1e-6 * jnp.cos(jnp.arange(6.0)).reshape(3, 2)
        skip = x.at[0].set(1.0)
        apart = lambda s: jnp.sum(rescaled_branch(x, s, jnp.ones(()), jnp.zeros(())))
        return {
            "y": edge(key, x, w, v, z),
            "of_x": [noises(k[0], x) for k in keys],
            "of_w": [noises(keys[0][1], w), noises(keys[1][1], v)],
            "slope": jax.grad(total)(z, w),
            "ends": (total(z + small, w), total(z - small, w)),
            "small": small,
            "share": jax.grad(
                lambda w: jnp.sum(edge(key, x, w, v, z, gradient="share"))
            )(w),
            "all": jax.grad(lambda w: jnp.sum(edge(key, x, w, v, z)))(w),
            "cost": edge_bit_operations(z, MACS, BITS),
            "branch": [
                rescaled_branch(b, c * skip, jnp.asarray(1.5), jnp.asarray(0.0))
                for b, c in ((x, 1.0), (x, 3.0), (jnp.zeros_like(x), 1.0))
            ],
            "at_a_constant": jax.grad(apart)(skip),
            "skip": skip,
        }

    return jax.tree.map(np.asarray, jax.jit(run)(*map(jnp.asarray, (X, W, V, Z))))


def shares(z=Z):
    e = np.exp(z - z.max())
    return e / e.sum()


def test_an_edge_is_its_operations_with_noise():
    a, got = shares(), found()
    mixed = []
    for i in range(3):
        own = a[i] / (a[i].sum() + 1 / 3)
        x = X + np.tensordot(own, got["of_x"][i], 1)
        w = None
        if i < 2:
            w = (W, V)[i] + np.tensordot(own, got["of_w"][i], 1)
        mixed.append(a[i].sum() * np.asarray(OPS[i](w, x)))
    np.testing.assert_allclose(got["y"], sum(mixed), rtol=1e-12)


def test_derivatives_of_an_edge():
    got = found()
    up, down = got["ends"]
    slope = np.sum(got["slope"] * got["small"])
    np.testing.assert_allclose((up - down) / 2, slope, rtol=1e-6)
    part = (1 / 3) / (shares()[0].sum() + 1 / 3)
    np.testing.assert_allclose(got["share"], part * got["all"], rtol=1e-12)


def test_expected_bit_operations():
    macs, squares = np.array(MACS), np.square(BITS)
    want = np.sum(shares() * macs[:, None] * squares)
    np.testing.assert_allclose(found()["cost"], want, rtol=1e-12)


def test_a_branch_has_the_deviation_of_its_skip():
    got = found()
    skip = got["skip"]
    one, three, none = got["branch"]
    np.testing.assert_allclose(three - 3 * skip, 3 * (one - skip), rtol=1e-12)
    np.testing.assert_array_equal(none, skip)
    want = X * 1.5 * skip.std(axis=1, keepdims=True) + skip
    np.testing.assert_allclose(one, want, rtol=1e-12)
    assert np.isfinite(got["at_a_constant"]).all()


def loss(params, logits, batch, key):
    del key
    return jnp.sum((params * jax.nn.softmax(logits["a"].ravel()) - batch) ** 2)


def test_a_step_by_hand_and_the_warm_up():
    params_tx, logits_tx = optax.sgd(0.1), optax.adam(0.05)
    cost = lambda z: edge_bit_operations(z["a"], (3.0,), BITS) / 10
    options = {"cost_fn": cost, "cost_weight": 0.3, "entropy": 0.2}
    search = quant_search(loss, params_tx, logits_tx, **options)
    p = jnp.array([1.0, 2.0])
    z = {"a": jnp.array([[0.3, -0.4]])}
    batch, held = jnp.array([0.5, 0.1]), jnp.array([-0.2, 0.7])

    @jax.jit
    def run(p, z, batch, held):
        key = jax.random.key(0)
        start = search.init(p, z)
        warm, _ = search.step(start, batch, held, key, 0.7, jnp.asarray(False))
        new, losses = search.step(start, batch, held, key, 0.7, True)

        def total(z):
            entropy = architecture_entropy(z["a"].ravel())
            return loss(p, z, held, key) + 0.3 * cost(z) + 0.2 * 0.7 * entropy

        slope = jax.grad(total)(z)["a"]
        at = {"a": z["a"] - 0.05 * slope / (jnp.abs(slope) + 1e-8)}
        want = p - 0.1 * jax.grad(loss)(p, at, batch, key)
        plain = p - 0.1 * jax.grad(loss)(p, z, batch, key)
        return start, warm, new, losses, at, want, plain, loss(p, z, held, key)

    start, warm, new, losses, at, want, plain, held_loss = run(p, z, batch, held)
    np.testing.assert_allclose(new.logits["a"], at["a"], rtol=1e-6)
    np.testing.assert_allclose(new.params, want, rtol=1e-6)
    np.testing.assert_allclose(losses["held_loss"], held_loss, rtol=1e-6)
    for a, b in zip(
        jax.tree.leaves((warm.logits, warm.logits_state)),
        jax.tree.leaves((start.logits, start.logits_state)),
        strict=True,
    ):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_allclose(warm.params, plain, rtol=1e-6)


BAD = {
    "logits must be": lambda: mixed_operations(
        jax.random.key(0), jnp.ones(2), (None,), jnp.zeros((2, 2)), OPS[2:], BITS
    ),
    "weights must be one for each of 3": lambda: mixed_operations(
        jax.random.key(0), jnp.ones(2), (None,), jnp.zeros((3, 2)), OPS, BITS
    ),
    "logits must be .* finite": lambda: chosen_operation([[np.nan]]),
    "cost_weight=1.0 needs cost_fn": lambda: quant_search(
        loss, optax.sgd(1.0), optax.sgd(1.0), cost_weight=1.0
    ),
    "entropy": lambda: quant_search(loss, optax.sgd(1.0), optax.sgd(1.0), entropy=-1.0),
}


@pytest.mark.parametrize("message", BAD)
def test_bad_input(message):
    with pytest.raises(InputError, match=message) as error:
        BAD[message]()
    assert "\n" not in str(error.value)
