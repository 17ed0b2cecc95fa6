"""Noise scales: unbiased over all draws, errors, batches against examples."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.curvature.measures.gradient_noise import (
    example_noise_scale,
    noise_scale,
)
from jaxopt_lab.curvature.measures.noise_scale import two_batch_noise_scale

# Gradients of single examples: w - x, at w = 0 the points themselves.
POINTS = np.array([[1.0, 0.5], [-0.5, 2.0], [3.0, -1.0]])
MEAN = POINTS.mean(axis=0)
TRACE = ((POINTS - MEAN) ** 2).sum(axis=1).mean()
SQUARED = (MEAN**2).sum()


def loss(params, batch):
    return jnp.mean(jnp.sum((params["w"] - batch) ** 2, axis=1)) / 2


def at_zero(dtype=jnp.float64):
    return {"w": jnp.zeros((1, 2), dtype)}


def batches(draws, sizes):
    cuts = np.cumsum(sizes)[:-1]
    return [jnp.asarray(part) for part in np.split(-np.asarray(draws), cuts)]


@pytest.mark.full(plain=["sizes1"])
@pytest.mark.parametrize("sizes", [(1, 1), (1, 2), (1, 1, 2)])
def test_unbiased_over_every_possible_draw(sizes):
    # With replacement from three points: 3^n draws of the same probability.
    found = [
        noise_scale(loss, at_zero(), batches(POINTS[list(draw)], sizes))
        for draw in itertools.product(range(3), repeat=sum(sizes))
    ]
    traces = [float(f.trace) for f in found]
    np.testing.assert_allclose(np.mean(traces), TRACE, rtol=1e-12)
    squares = [float(f.squared_norm) for f in found]
    np.testing.assert_allclose(np.mean(squares), SQUARED, rtol=1e-12)


def test_two_sizes_are_unbiased_too():
    small, large = [], []
    for draw in itertools.product(range(3), repeat=4):
        drawn = POINTS[list(draw)]
        small.append((drawn[:1].mean(axis=0) ** 2).sum())
        large.append((drawn.mean(axis=0) ** 2).sum())
    found = two_batch_noise_scale(jnp.array(small), jnp.array(large), 1, 4)
    np.testing.assert_allclose(found.trace, TRACE, rtol=1e-12)
    np.testing.assert_allclose(found.squared_norm, SQUARED, rtol=1e-12)
    np.testing.assert_allclose(found.value, TRACE / SQUARED, rtol=1e-12)


def drawn(seed, n, spread=1.0):
    draw = np.random.default_rng(seed)
    return MEAN + spread * draw.normal(size=(n, 2))


@pytest.mark.full
def test_equal_batches_are_two_sizes():
    parts = batches(drawn(0, 12), (3,) * 4)
    found = noise_scale(loss, at_zero(), parts)
    each = jnp.stack([jnp.mean(p, axis=0) for p in parts])
    small = jnp.mean(jnp.sum(each**2, axis=1))[None]
    large = jnp.sum(jnp.mean(each, axis=0) ** 2)[None]
    other = two_batch_noise_scale(small, large, 3, 12)
    for field in ("value", "trace", "squared_norm"):
        np.testing.assert_allclose(
            getattr(found, field), getattr(other, field), rtol=1e-11
        )


@pytest.mark.full
def test_examples_are_batches_of_one():
    points = drawn(1, 7)
    singly = noise_scale(loss, at_zero(), batches(points, (1,) * 7))
    for sizes in ((7,), (4, 3)):
        found = example_noise_scale(loss, at_zero(), batches(points, sizes))
        for one, two in zip(found, singly, strict=True):
            np.testing.assert_allclose(one, two, rtol=1e-11)
    # And those are the sample variance and what it takes off the squared mean.
    trace = points.var(axis=0, ddof=1).sum()
    np.testing.assert_allclose(singly.trace, trace, rtol=1e-12)
    squared = (points.mean(axis=0) ** 2).sum() - trace / 7
    np.testing.assert_allclose(singly.squared_norm, squared, rtol=1e-12)


@pytest.mark.parametrize("sizes", [(2, 2, 2, 2), (1, 2, 3, 2)])
def test_the_errors_are_those_of_leaving_out_one_batch(sizes):
    parts = batches(drawn(2, 8), sizes)
    found = noise_scale(loss, at_zero(), parts)
    fewer = [noise_scale(loss, at_zero(), parts[:k] + parts[k + 1 :]) for k in range(4)]
    for field in ("value", "trace", "squared_norm"):
        values = np.array([float(getattr(f, field)) for f in fewer])
        expected = np.sqrt(3 / 4 * ((values - values.mean()) ** 2).sum())
        name = {"value": "standard_error"}.get(field, f"{field}_error")
        np.testing.assert_allclose(getattr(found, name), expected, rtol=1e-10)


@pytest.mark.full
def test_the_error_is_the_spread():
    # 60 experiments of 64 examples: their spread is what each says of itself.
    found = [
        example_noise_scale(loss, at_zero(), batches(drawn(seed, 64), (64,)))
        for seed in range(60)
    ]
    for field in ("trace", "squared_norm"):
        values = np.array([float(getattr(f, field)) for f in found])
        said = np.mean([float(getattr(f, f"{field}_error")) for f in found])
        # A standard deviation of 60 draws is known to about 9 %.
        assert 0.7 < said / values.std(ddof=1) < 1.4
    values = np.array([float(f.trace) for f in found])
    assert abs(values.mean() - 2) < 4 * values.std() / np.sqrt(60)


@pytest.mark.full
def test_errors_of_steps():
    small = jnp.array([4.0, 5.0, 7.0])
    large = jnp.array([2.0, 2.5, 2.0])
    found = two_batch_noise_scale(small, large, 2, 8)
    fewer = [
        float(
            two_batch_noise_scale(
                jnp.delete(small, k), jnp.delete(large, k), 2, 8
            ).value
        )
        for k in range(3)
    ]
    expected = np.sqrt(2 / 3 * ((fewer - np.mean(fewer)) ** 2).sum())
    np.testing.assert_allclose(found.standard_error, expected, rtol=1e-12)
    alone = two_batch_noise_scale(small[:1], large[:1], 2, 8)
    assert np.isnan(float(alone.standard_error))


def test_too_few_batches_for_an_error():
    found = noise_scale(loss, at_zero(), batches(drawn(3, 4), (2, 2)))
    assert np.isfinite(float(found.value))
    assert np.isnan(float(found.standard_error))
    assert np.isnan(float(found.trace_error))


def test_little_noise_survives_in_float32():
    # The squares are 1e6 each, whose rounding in float32 is larger than the noise.
    def plain(params, batch):
        return jnp.mean(batch["offset"] @ params["w"].T) + jnp.mean(
            batch["x"] @ params["v"].T
        )

    offset = np.zeros((16, 2)) + 1e3
    noise = np.random.default_rng(5).normal(size=(16, 2)) * 1e-2
    data = {
        "offset": jnp.asarray(offset, jnp.float32),
        "x": jnp.asarray(noise, jnp.float32),
    }
    params = {"w": jnp.zeros((1, 2), jnp.float32), "v": jnp.zeros((1, 2), jnp.float32)}
    found = example_noise_scale(plain, params, [data])
    assert found.trace.dtype == jnp.float32
    expected = noise.var(axis=0, ddof=1).sum()
    np.testing.assert_allclose(found.trace, expected, rtol=1e-4)


@pytest.mark.full
def test_padding_does_not_count():
    def weighted(params, batch):
        each = jnp.sum((params["w"] - batch["x"]) ** 2, axis=1) / 2
        return jnp.sum(batch["there"] * each) / jnp.sum(batch["there"])

    points = drawn(6, 5)
    padded = {
        "x": jnp.asarray(np.concatenate([-points, np.full((3, 2), 9.0)])),
        "there": jnp.array([1.0] * 5 + [0.0] * 3),
    }
    found = example_noise_scale(
        weighted, at_zero(), [padded], example_weights=lambda b: b["there"]
    )
    plain = example_noise_scale(loss, at_zero(), batches(points, (5,)))
    for one, two in zip(found, plain, strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-11)


@pytest.mark.full
def test_a_mask_and_narrow_parameters():
    def two(params, batch):
        return loss(params, batch) + jnp.mean(batch) * jnp.sum(params["v"]) ** 2

    points = batches(drawn(7, 6), (2, 2, 2))
    params = {**at_zero(jnp.bfloat16), "v": jnp.ones(3, jnp.bfloat16)}
    found = noise_scale(two, params, points, mask={"w": True, "v": False})
    assert found.value.dtype == jnp.float32
    plain = noise_scale(loss, at_zero(), points)
    np.testing.assert_allclose(found.trace, plain.trace, rtol=1e-5)


def test_under_jit():
    parts = batches(drawn(8, 6), (2, 2, 2))
    plain = noise_scale(loss, at_zero(), parts)
    traced = jax.jit(lambda p, b: noise_scale(loss, p, b))(at_zero(), parts)
    for one, two in zip(plain, traced, strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-11)


@pytest.mark.parametrize(
    "run, words",
    [
        (
            lambda: two_batch_noise_scale(jnp.ones(2), jnp.ones(3), 1, 2),
            r"vectors of one length; got shapes \(2,\) and \(3,\)",
        ),
        (
            lambda: two_batch_noise_scale(jnp.ones(2), jnp.ones(2), 4, 4),
            "large_size must be more than small_size, 4; got 4",
        ),
        (
            lambda: two_batch_noise_scale(jnp.ones(2), jnp.ones(2), 0, 4),
            "small_size must be a whole number",
        ),
        (lambda: noise_scale(loss, at_zero(), []), "at least one batch; got none"),
        (
            lambda: noise_scale(loss, at_zero(), [jnp.ones((2, 2))]),
            "at least 2 batches; got 1",
        ),
        (
            lambda: noise_scale(loss, at_zero(), jnp.ones((2, 2))),
            "batches must be a list of batches",
        ),
        (
            lambda: noise_scale(lambda p, b: p["w"], at_zero(), [jnp.ones((2, 2))] * 2),
            "the loss must be a scalar",
        ),
    ],
)
def test_bad_input(run, words):
    with pytest.raises(InputError, match=words):
        run()
