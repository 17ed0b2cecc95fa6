"""Codes equal the formulas of the docstrings to the bit, on ties too."""

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest

from jaxopt_lab.core import codecs
from jaxopt_lab.core.codecs import dynamic_map
from jaxopt_lab.core.division import quotient
from jaxopt_lab.quantize import GPTQGrid, LinearGrid
from jaxopt_lab.transforms.compressed.min_max import MinMax4

BLOCK = 64
f32 = np.float32


def blocks():
    """Rows of bfloat16 numbers, as float32: many quotients are ties."""
    draw = np.random.default_rng(0)
    halves = draw.integers(-254, 255, (64, BLOCK)) / 2
    halves[:, 0] = draw.choice([127.0, 448.0, 15.0, 7.0, 1.0, 255.0], 64)
    normal = draw.normal(size=(64, BLOCK)) * 10.0 ** draw.integers(-6, 3, (64, 1))
    rows = np.concatenate([halves, normal]).astype(ml_dtypes.bfloat16)
    return rows.astype(f32)


def absmax(x):
    return np.max(np.abs(x), axis=1, keepdims=True)


def linear(bits, symmetric):
    top = 2 ** (bits - 1) - 1

    def codes(x):
        if symmetric:
            s, zero = np.maximum(absmax(x), f32(1e-8)) / f32(top), f32(0)
        else:
            low = x.min(1, keepdims=True)
            spread = x.max(1, keepdims=True) - low
            s = np.maximum(spread, f32(1e-8)) / f32(2 * top)
            zero = np.round(low / s + f32(top + 1))
        return np.round(np.clip(x / s - zero, -top - 1, top)) + top + 1

    return codes


def square_root(x):
    s = np.sqrt(absmax(x))
    return np.round(np.sqrt(np.abs(x)) / s * f32(255))


def float8(x):
    s = absmax(x) / f32(448)
    return (x / s).astype(ml_dtypes.float8_e4m3fn).view(np.uint8)


def min_max(x):
    low, high = (
        y.astype(ml_dtypes.bfloat16).astype(f32)
        for y in (x.min(1, keepdims=True), x.max(1, keepdims=True))
    )
    step = (high - low) / f32(15)
    return np.clip(np.floor((x - low) / step + f32(0.5)), 0, 15)


def dynamic(bits, signed):
    def codes(x):
        a = x / absmax(x)
        values = dynamic_map.magnitudes(bits, signed)
        middles = (values[1:] + values[:-1]) / 2
        index = np.searchsorted(middles, np.abs(a).astype(np.float64), side="right")
        if not signed:
            return index
        zero = 2 ** (bits - 1) - 1
        return np.where(a < 0, np.maximum(zero - index, 0), zero + index)

    return codes


CASES = {
    "linear 8": (codecs.Linear("row"), linear(8, True)),
    "linear 4": (codecs.Linear("row", bits=4), linear(4, True)),
    "linear 8 from min": (codecs.Linear("row", symmetric=False), linear(8, False)),
    "root 8": (codecs.SquareRoot(BLOCK), square_root),
    "float 8": (codecs.FloatingPoint8(BLOCK), float8),
    "min to max": (MinMax4(BLOCK), min_max),
    "dynamic 8": (codecs.dynamic(8, block=BLOCK), dynamic(8, True)),
    "dynamic 8 unsigned": (
        codecs.dynamic(8, block=BLOCK, signed=False),
        dynamic(8, False),
    ),
    "dynamic 4": (codecs.dynamic(4, block=BLOCK), dynamic(4, True)),
    "dynamic 4 unsigned": (
        codecs.dynamic(4, block=BLOCK, signed=False),
        dynamic(4, False),
    ),
}
NON_NEGATIVE = {"root 8", "dynamic 8 unsigned", "dynamic 4 unsigned"}


@pytest.mark.parametrize("name", CASES)
def test_codes_are_those_of_the_formula(name):
    codec, formula = CASES[name]
    x = np.abs(blocks()) if name in NON_NEGATIVE else blocks()

    @jax.jit
    def encoded(x):
        tiles = codec.cut(x.shape, BLOCK).split(x)
        return codec.to_codes(tiles, codec.range_of(tiles), None).reshape(x.shape)

    np.testing.assert_array_equal(encoded(jnp.asarray(x)), formula(x).astype(np.uint8))


@pytest.mark.parametrize("grid", [LinearGrid(8), GPTQGrid(4)], ids=["linear", "gptq"])
def test_grids_divide_truly(grid):
    x = blocks()
    coded = jax.jit(grid.encode)(jnp.asarray(x))
    s, z = np.asarray(coded.scale), coded.zero_point
    if isinstance(grid, LinearGrid):
        largest = np.maximum(absmax(x), f32(grid.min_range))
        np.testing.assert_array_equal(s, largest / f32(127))
        wanted = np.round(np.clip(x / s, -128, 127))
    else:
        wanted = np.clip(np.round(x / s) + np.asarray(z), 0, 15)
    np.testing.assert_array_equal(coded.qvalue, wanted)


def test_a_quotient_is_rounded_once_and_safe_at_zero():
    draw = np.random.default_rng(1)
    x = draw.normal(size=(50, 40)).astype(f32)
    s = np.abs(draw.normal(size=(50, 1))).astype(f32)

    both = jax.jit(lambda x, s: (quotient(x, s), quotient(x, 127.0)))
    by_row, by_constant = both(x, s)
    np.testing.assert_array_equal(by_row, x / s)
    np.testing.assert_array_equal(by_constant, x / f32(127))
    assert float(quotient(jnp.zeros(()), 0.0)) == 0
