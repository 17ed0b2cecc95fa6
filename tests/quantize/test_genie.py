"""Genie: recorded soft and hard weights, the penalty, one matrix, a whole block."""

import json
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support.vectors import VECTORS

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.quantize import (
    GenieGrid,
    genie,
    init_rounding,
    init_step,
    learned_step,
    reconstruct_block,
    rectified_sigmoid,
    rounding_regularizer,
    rounding_schedule,
    soft_round_weights,
)

RNG = np.random.default_rng(0)


@pytest.mark.full(plain=["quantizers_A"])
@pytest.mark.parametrize("case", ["quantizers_A", "quantizers_B"])
def test_the_recorded_weights_and_gradients(case):
    with np.load(VECTORS / "zeroq" / f"{case}.npz") as file:
        arrays = {key: file[key] for key in file.files}
    assert json.loads(str(arrays.pop("meta")))["dtype"] == "float64"
    weight = jnp.asarray(arrays["init/w"])
    every = sorted(int(n.split("/b")[1]) for n in arrays if n.startswith("genie_soft"))

    @jax.jit
    def run(weight, given):
        found = {}
        for bits in every:
            start = init_rounding(weight, bits=bits)

            def value(scale, logits, start=start, bits=bits):
                fixed = start.base, start.zero, bits
                return jnp.sum(given[bits] * soft_round_weights(scale, logits, *fixed))

            slopes = jax.grad(value, (0, 1))(start.scale, start.logits)
            found[bits] = (
                start.scale,
                start.zero,
                start.soft(bits),
                start.hard(bits).dequantize(),
                *slopes,
            )
        return found

    found = run(weight, {bits: arrays[f"genie_gin/b{bits}"] for bits in every})
    for bits in every:
        names = ("scale", "zero", "soft", "hard", "gscale", "gbit")
        for name, value in zip(names, found[bits], strict=True):
            wanted = arrays[f"genie_{name}/b{bits}"]
            np.testing.assert_allclose(
                value, wanted, rtol=1e-9, atol=1e-9, err_msg=f"{name} {bits}"
            )


def test_soft_weights_start_at_the_weights_and_hard_ones_round_half_up():
    weight = RNG.normal(size=(4, 30))

    @jax.jit
    def run(weight):
        start = init_rounding(weight, bits=4)
        return start, start.soft(4), start.hard(4), GenieGrid(4).encode(weight)

    start, soft, hard, nearest = run(weight)
    low, high = (start.scale * (end - start.zero) for end in (0, 15))
    np.testing.assert_allclose(soft, np.clip(weight, low, high), atol=1e-12)
    np.testing.assert_array_equal(hard.qvalue, nearest.qvalue)


def test_the_penalty_is_0_at_whole_codes_and_1_in_the_middle():
    ends = jnp.array([-9.0, 9.0, 40.0])
    half = jnp.zeros(3)
    for beta in (2.0, 20.0):
        assert float(rounding_regularizer(ends, beta)) == 0
        assert float(rounding_regularizer(half, beta)) == 3
        value, slope = jax.value_and_grad(rounding_regularizer)(half, beta)
        assert np.isfinite(slope).all() and float(value) == 3
    v = jnp.linspace(-3, 3, 13)
    h = np.clip(1.2 / (1 + np.exp(-np.asarray(v))) - 0.1, 0, 1)
    np.testing.assert_allclose(rectified_sigmoid(v), h, rtol=1e-12)
    found = [[float(x) for x in rounding_schedule(t, steps=100)] for t in (0, 20, 60)]
    assert found == [[0, 20], [1, 20], [1, 11]]
    assert [float(x) for x in rounding_schedule(100, steps=100)] == [1, 2]


def test_a_learned_step_has_the_gradient_of_lsq_and_the_best_of_100_starts():
    x = jnp.asarray(np.abs(RNG.normal(size=40)) ** 2)
    step = init_step(x, bits=3)
    s = float(step.scale)

    def error(scale):
        codes = np.clip(np.round(np.asarray(x) / scale), 0, 7)
        return np.sum(np.abs(np.asarray(x) - scale * codes) ** 2.4)

    top = float(jnp.max(x)) / 7
    tried = [error(top * (1 - i / 100)) for i in range(100)]
    np.testing.assert_allclose(error(s), min(tried), rtol=1e-9)
    value = lambda x, scale: jnp.sum(x * learned_step(x, step._replace(scale=scale)))
    at_x, at_s = jax.jit(jax.grad(value, (0, 1)))(x, step.scale)
    n = np.asarray(x) / s
    codes = np.clip(np.round(n), 0, 7)
    inside = (n >= 0) & (n <= 7)
    np.testing.assert_allclose(at_x, s * codes + np.asarray(x) * inside, rtol=1e-12)
    slope = np.where(inside, np.round(n) - n, codes)
    np.testing.assert_allclose(at_s, np.sum(np.asarray(x) * slope), rtol=1e-9)


def test_rounding_together_is_better_than_to_the_nearest():
    weight: Any = RNG.normal(size=(5, 12))
    x = RNG.normal(size=(40, 12)) @ (RNG.normal(size=(12, 12)) / np.arange(1, 13))
    found, report = genie(weight, jnp.asarray(x.T @ x), bits=3, steps=300)
    values = np.asarray(found.dequantize())
    size = np.sum((x @ weight.T) ** 2)
    np.testing.assert_allclose(
        report.error, np.sum((x @ (values - weight).T) ** 2) / size, rtol=1e-9
    )
    assert report.error < 0.7 * report.nearest_error
    assert found.qvalue.dtype == jnp.uint8 and int(found.qvalue.max()) <= 7


def reference(key, x, coarse, y, weight, bits, act, rates, steps, drop):
    """Five steps of a linear block in NumPy; the draws are those of jax."""
    start = jax.tree.map(np.asarray, init_rounding(jnp.asarray(weight), bits=bits))
    first = init_step(jnp.asarray(coarse), bits=act)
    high, low = float(first.high), float(first.low)
    moved = [start.scale.copy(), start.logits.copy(), np.array(float(first.scale))]
    m = [np.zeros_like(p) for p in moved]
    v = [np.zeros_like(p) for p in moved]
    losses = []
    for t in range(steps):
        draw, mix, rest = jax.random.split(jax.random.fold_in(key, t), 3)
        del draw
        exact = np.asarray(jax.random.bernoulli(mix, drop, x.shape))
        given = np.where(exact, x, coarse)
        place = jax.random.fold_in(rest, 0)
        plain = np.asarray(jax.random.bernoulli(place, drop, x.shape))
        s, logits, a = moved
        n = given / a
        inside = (n >= low) & (n <= high)
        codes = np.clip(np.round(n), low, high)
        h_in = np.where(plain, given, a * codes)
        sigma = 1 / (1 + np.exp(-logits))
        raw = 1.2 * sigma - 0.1
        h = np.clip(raw, 0, 1)
        open_h = (raw > 0) & (raw < 1)
        code = start.base + h + start.zero
        kept = np.clip(code, 0, 2**bits - 1)
        open_c = (code > 0) & (code < 2**bits - 1)
        q = s * (kept - start.zero)
        apart = h_in @ q.T - y
        on, beta = (float(z) for z in rounding_schedule(t, steps=steps))
        middle = 2 * h - 1
        loss = np.mean(np.sum(apart**2, 1))
        losses.append(loss + on * np.sum(1 - np.abs(middle) ** beta))
        gq = 2 / len(x) * apart.T @ h_in
        slope = 1.2 * sigma * (1 - sigma) * open_h
        g_penalty = -beta * np.abs(middle) ** (beta - 1) * np.sign(middle) * 2 * slope
        grads = [
            np.sum(gq * (kept - start.zero), 1, keepdims=True),
            gq * s * slope * open_c + on * g_penalty,
            np.sum(
                2 / len(x) * (apart @ q) * ~plain * np.where(inside, codes - n, codes)
            ),
        ]
        for i, g in enumerate(grads):
            m[i] = 0.9 * m[i] + 0.1 * g
            v[i] = 0.999 * v[i] + 0.001 * g * g
            up = m[i] / (1 - 0.9 ** (t + 1))
            up = up / (np.sqrt(v[i] / (1 - 0.999 ** (t + 1))) + 1e-8)
            by = 1 if i == 1 else (1 + np.cos(np.pi * t / steps)) / 2
            moved[i] = moved[i] - rates[i] * by * up
    return losses, moved, start


def test_five_steps_of_a_linear_block_are_those_of_plain_numpy():
    weight = RNG.normal(size=(3, 6))
    x = np.abs(RNG.normal(size=(8, 6)))
    coarse = np.round(4 * x) / 4
    y = x @ weight.T
    key, rates = jax.random.key(3), (1e-3, 1e-2, 1e-3)

    def block(params, x, quantize):
        return quantize(0, x) @ params["kernel"]

    found = reconstruct_block(
        key, block, {"kernel": jnp.asarray(weight.T)}, jnp.asarray(x), jnp.asarray(y),
        quantized=jnp.asarray(coarse), bits=3, activation_bits=[4], steps=5,
        scale_rate=rates[0], rounding_rate=rates[1], activation_rate=rates[2],
    )  # fmt: skip
    losses, (scale, logits, step), start = reference(
        key, x, coarse, y, weight, 3, 4, rates, 5, 0.5
    )
    np.testing.assert_allclose(found.losses, losses, rtol=1e-9)
    coded = found.codes["kernel"]
    np.testing.assert_allclose(coded.scale, scale, rtol=1e-9)
    np.testing.assert_allclose(found.activations[0].scale, step, rtol=1e-9)
    codes = np.clip(start.base + (logits >= 0) + start.zero, 0, 7)
    np.testing.assert_array_equal(coded.qvalue, codes)
    np.testing.assert_allclose(
        found.params["kernel"], (scale * (codes - start.zero)).T, rtol=1e-9
    )
    # Nothing is dropped in the finished block.
    used = found.quantize(0, jnp.asarray(x))
    np.testing.assert_array_equal(
        used, learned_step(jnp.asarray(x), found.activations[0])
    )


BLOCK: Any = lambda p, x, quantize: quantize(0, x) @ p["kernel"]
KERNEL = {"kernel": jnp.ones((3, 2))}
X = jnp.ones((4, 3))


def reconstructed(**changes):
    given: Any = {"y": jnp.ones((4, 2)), "activation_bits": [4], "steps": 1, **changes}
    return lambda: reconstruct_block(jax.random.key(0), BLOCK, KERNEL, X, **given)


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda: genie(jnp.ones(3)), "must be a matrix"),
        (lambda: genie(jnp.ones((2, 2)), codec="linear"), "codec of genie must be"),
        (lambda: genie(jnp.ones((2, 2)), jnp.eye(3)), "gram must have shape"),
        (lambda: genie(jnp.full((2, 2), jnp.nan)), "weight of genie must be finite"),
        (lambda: genie(jnp.ones((2, 2)), jnp.eye(2) * jnp.inf), "gram of genie must"),
        (lambda: genie(jnp.ones((2, 2)), bits=9), "bits must"),
        (lambda: init_step(jnp.ones(2, int), bits=4), "must be real floating"),
        (reconstructed(match="none"), "match=none finds no matrix; there are kernel"),
        (reconstructed(activation_bits=[]), "bits of the 1 activations"),
        (reconstructed(y=jnp.ones((4, 1))), r"block's outputs, \(4, 2\); got \(4, 1\)"),
        (reconstructed(y=jnp.ones((3, 2))), "as many examples, at least one"),
        (reconstructed(drop=2.0), "drop must"),
    ],
)
def test_bad_input(make, words):
    with pytest.raises(InputError, match=words) as told:
        make()
    assert "\n" not in str(told.value)
