"""ZeroQ's distilled data against a loop in NumPy, and what they are good for."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.quantize import (
    LinearGrid,
    Normalized,
    allocate_bits,
    batch_statistics_loss,
    distill_inputs,
    sensitivities,
)

KEY = jax.random.key(3)
SHAPE = (2, 3, 4, 2)


def parameters(apart=0.0):
    """A network and the statistics of data of it, each mean so far off."""
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=(2, 3)), rng.normal(size=(3, 2))
    data = rng.normal(size=(200, 2)) @ np.array([[1.0, 0.7], [0.0, 0.7]])
    one = data @ first
    two = np.tanh((one - one.mean(0)) / one.std(0, ddof=1)) @ second
    return {
        "first": jnp.asarray(first),
        "second": jnp.asarray(second),
        "means": [jnp.asarray(apart + y.mean(0)) for y in (one, two)],
        "variances": [jnp.asarray(y.var(0, ddof=1)) for y in (one, two)],
    }


def observe(params, x):
    """Two normalizations after products with the channels."""
    first = x @ params["first"]
    mean, variance = params["means"][0], params["variances"][0]
    normal = (first - mean[None, None, None]) / jnp.sqrt(variance)[None, None, None]
    second = jnp.tanh(normal) @ params["second"]
    return [
        Normalized(features, *statistics)
        for features, *statistics in zip(
            (first, second), params["means"], params["variances"], strict=True
        )
    ]


def in_numpy(slope_of, x, *, steps, rate, patience):
    """Adam and the rule of the plateau, one step after the other."""
    first, second = np.zeros_like(x), np.zeros_like(x)
    best, bad, losses, rates = np.inf, 0, [], []
    for t in range(1, steps + 1):
        value, slope = (np.asarray(part) for part in slope_of(x))
        losses.append(value)
        rates.append(rate)
        first = 0.9 * first + 0.1 * slope
        second = 0.999 * second + 0.001 * slope**2
        x = x - rate * (first / (1 - 0.9**t)) / (
            np.sqrt(second / (1 - 0.999**t)) + 1e-8
        )
        if value < best * (1 - 1e-4):
            best, bad = value, 0
        else:
            bad += 1
        if bad > patience:
            rate, bad = min(rate, max(0.1 * rate, 1e-4)), 0
    return x, losses, rates


def test_every_step_is_that_of_a_loop_in_numpy():
    params = parameters(apart=1.0)
    found = distill_inputs(
        KEY, observe, params, SHAPE, steps=150, patience=1, dtype=jnp.float64
    )
    slope_of = jax.jit(
        jax.value_and_grad(lambda x: batch_statistics_loss(x, observe(params, x)))
    )
    start = np.asarray(jax.random.normal(KEY, SHAPE, jnp.float64))
    x, losses, rates = in_numpy(slope_of, start, steps=150, rate=0.5, patience=1)
    np.testing.assert_allclose(found.rates, rates, rtol=1e-12)
    np.testing.assert_allclose(found.losses, losses, rtol=1e-8)
    np.testing.assert_allclose(found.inputs, x, rtol=1e-7, atol=1e-9)
    # The rule was met at every one of its ends.
    assert len({*np.round(rates, 9)}) >= 4 and min(rates) == 1e-4


@pytest.mark.full
def test_both_starts_reach_the_same_optimum_for_any_key():
    params = parameters()

    def from_start(init, key):
        return distill_inputs(key, observe, params, SHAPE, init=init, dtype=jnp.float64)

    @jax.jit
    def both(keys):
        normal, reference = (
            jax.vmap(functools.partial(from_start, init))(keys)
            for init in ("normal", "reference")
        )
        first = distill_inputs(
            KEY, observe, params, SHAPE, init="reference", steps=1, dtype=jnp.float64
        )
        return normal, reference, first

    keys = jnp.stack([KEY, jax.random.key(4)])
    normal, reference, first = both(keys)
    assert (normal.losses[:, -1] < 0.05 * normal.losses[:, 0]).all()
    np.testing.assert_allclose(
        reference.losses[:, -1], normal.losses[:, -1], rtol=0.05, atol=1e-3
    )
    # One step of 0.5 from numbers of at most 127.5 / 5418.75.
    assert np.abs(np.abs(first.inputs) - 0.5).max() < 0.024
    alone = from_start("normal", KEY)
    np.testing.assert_allclose(alone.losses[-1], normal.losses[0, -1], rtol=1e-3)


def test_a_sample_of_its_own_statistics_is_a_minimum():
    params = parameters()
    x = np.random.default_rng(1).normal(size=(1, *SHAPE[1:]))
    x = x - x.mean((1, 2), keepdims=True)
    x = x * np.sqrt((1 - 1e-6) / x.var((1, 2), ddof=1, keepdims=True))

    @jax.jit
    def at(x, other):
        own = [
            layer._replace(
                mean=jnp.mean(layer.features, axis=(0, 1, 2)),
                variance=jnp.var(layer.features, axis=(0, 1, 2), ddof=1),
            )
            for layer in observe(params, x)
        ]

        def loss(x):
            layers = [
                layer._replace(features=now.features)
                for layer, now in zip(own, observe(params, x), strict=True)
            ]
            return batch_statistics_loss(x, layers)

        return jax.value_and_grad(loss)(x), loss(other)

    (value, slope), elsewhere = at(x, x + 0.1)
    assert value < 1e-20 and np.abs(slope).max() < 1e-10 and elsewhere > 1e-3


def test_distilled_inputs_choose_bits():
    params = parameters()

    def logits(params, x):
        return jnp.tanh(jnp.mean(x, axis=(1, 2)) @ params["first"]) @ params["second"]

    x = distill_inputs(KEY, observe, params, SHAPE, steps=1, dtype=jnp.float64).inputs
    errors = sensitivities(
        logits, params, ["first", "second"], [LinearGrid(2), LinearGrid(8)], x
    )
    found = allocate_bits(errors, [6, 6], [2, 8], 60)
    assert found.bits in ((2, 8), (8, 2)) and found.size == 60


def test_float32_by_default_and_finite_from_constant_features():
    params = jnp.zeros((2, 1), jnp.float32)

    def flat(params, x):
        return [Normalized(x @ params, jnp.ones(1, x.dtype), jnp.ones(1, x.dtype))]

    found = distill_inputs(KEY, flat, params, SHAPE, steps=2)
    assert {part.dtype for part in found} == {jnp.dtype("float32")}


def with_statistics(mean, variance):
    return lambda params, x: [Normalized(x, jnp.full(2, mean), jnp.full(2, variance))]


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda: distill_inputs(KEY, lambda p, x: [], {}, SHAPE), "got none"),
        (
            lambda: distill_inputs(
                KEY, lambda p, x: [Normalized(x, jnp.ones(3), jnp.ones(2))], {}, SHAPE
            ),
            r"normalization 0.*shape \(2,\), its channels; got \(3,\)",
        ),
        (
            lambda: distill_inputs(
                KEY, with_statistics(0.0, 1.0), {}, (2, 1, 1, 2), dtype=jnp.float64
            ),
            "two positions",
        ),
        (
            lambda: distill_inputs(
                KEY, with_statistics(0.0, -1.0), {}, SHAPE, steps=2, dtype=jnp.float64
            ),
            "not finite before step 0: .*negative variance",
        ),
        (lambda: distill_inputs(KEY, observe, {}, SHAPE, dtype=int), "real floating"),
        (lambda: distill_inputs(KEY, observe, {}, SHAPE, steps=0), "steps"),
        (lambda: distill_inputs(KEY, observe, {}, SHAPE, init="zeros"), "init"),
        (
            lambda: distill_inputs(KEY, observe, {}, SHAPE, statistics="all"),
            "statistics",
        ),
    ],
)
def test_bad_input(make, words):
    with pytest.raises(InputError, match=words) as caught:
        make()
    assert "\n" not in str(caught.value)
