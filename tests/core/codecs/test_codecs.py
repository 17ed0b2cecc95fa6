"""The codecs: tables, round trips, blocks, packing and randomness."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import vectors

from jaxopt_lab.core import codecs as codes
from jaxopt_lab.core.codecs import dynamic_map, packing
from jaxopt_lab.core.errors import InputError

CODECS = {
    "dynamic 8": codes.dynamic(8),
    "dynamic 8 unsigned": codes.dynamic(8, signed=False),
    "dynamic 4": codes.dynamic(4),
    "dynamic 4 unsigned": codes.dynamic(4, signed=False),
    "linear 8": codes.Linear("row"),
    "linear 4": codes.Linear(64, bits=4),
    "linear 8 from min to max": codes.Linear("tensor", symmetric=False),
    "linear 4 from min to max": codes.Linear("row", bits=4, symmetric=False),
    "root 8": codes.SquareRoot(),
    "root 4 up": codes.SquareRoot(bits=4, round_up=True),
    "e4m3": codes.FloatingPoint8(),
    "e5m2": codes.FloatingPoint8(dtype="float8_e5m2"),
    "bfloat16": codes.Cast("bfloat16"),
    "float32": codes.Cast("float32"),
}
NON_NEGATIVE = {"dynamic 8 unsigned", "dynamic 4 unsigned", "root 8", "root 4 up"}
SHAPES = [(), (0, 3), (7,), (24, 32), (10, 300), (3, 3, 8, 8), (57, 29)]
BOOKS = [(8, True), (8, False), (4, True), (4, False)]


def array(name, shape, seed=0, dtype=np.float32):
    x = np.random.default_rng(seed).normal(size=shape).astype(dtype)
    return jnp.asarray(x**2 if name in NON_NEGATIVE else x)


@functools.partial(jax.jit, static_argnums=0)
def there_and_back(codec, x, key=None):
    return codec.decode(codec.encode(x, key=key), x.shape, x.dtype)


@pytest.mark.parametrize("bits, signed", BOOKS)
def test_tables_are_the_recorded_code_books(bits, signed):
    with np.load(vectors.VECTORS / "adam_lowbit" / "codebooks.npz") as file:
        recorded = file[f"qmap_{'signed' if signed else 'unsigned'}_{bits}bit"]
    np.testing.assert_allclose(dynamic_map.table(bits, signed), recorded, atol=6e-8)


@pytest.mark.full(plain=["4-False"])
@pytest.mark.parametrize("bits, signed", BOOKS)
def test_every_code_comes_back_as_itself(bits, signed):
    values = dynamic_map.table(bits, signed).astype(np.float32)
    x = jnp.asarray(np.concatenate([values[-1:], values]))  # an even number more
    codec = codes.dynamic(bits, signed=signed, block=len(values) + 1)
    np.testing.assert_array_equal(there_and_back(codec, x), x)
    used = {int(c) for c in np.asarray(dynamic_map_codes(codec, x))}
    assert used == set(range(2**bits))


def dynamic_map_codes(codec, x):
    tiles = codec.cut(x.shape).split(x)
    return codec.to_codes(tiles, codec.range_of(tiles), None).reshape(-1)


@pytest.mark.full(plain=["8-True"])
@pytest.mark.parametrize("bits, signed", BOOKS)
def test_nearest_is_nearest(bits, signed):
    draw = np.random.default_rng(1)
    a = np.concatenate([draw.uniform(0, 1, 50_000), 10 ** draw.uniform(-9, 0, 50_000)])
    a = a.astype(np.float32)
    values = dynamic_map.magnitudes(bits, signed)
    wanted = np.searchsorted((values[1:] + values[:-1]) / 2, a.astype(np.float64))
    got = np.asarray(dynamic_map.nearest(jnp.asarray(a), bits, signed)).astype(int)
    wrong = got != wanted
    assert wrong.mean() <= 1e-4
    distance = lambda index: np.abs(values[index] - a)
    np.testing.assert_allclose(
        distance(got)[wrong], distance(wanted)[wrong], rtol=1e-4, atol=0
    )


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", CODECS)
def test_shapes_and_types(name, shape):
    codec = CODECS[name]
    x = jax.ShapeDtypeStruct(shape, jnp.float32)
    coded = jax.eval_shape(codec.encode, x)
    back = jax.eval_shape(lambda c: codec.decode(c, shape, x.dtype), coded)
    assert (back.shape, back.dtype) == (x.shape, x.dtype)
    if coded.scale is not None and shape:
        assert coded.scale.ndim == len(shape)
        assert coded.scale.size == codec.cut(shape).count
    stored = coded.qvalue.size * coded.qvalue.dtype.itemsize
    if codec.packed:
        cut = codec.cut(shape)
        assert stored == cut.count * math.ceil(cut.block / 2) or not x.size
    elif name not in ("bfloat16", "float32"):
        assert stored == x.size


@pytest.mark.full(
    plain=[
        "dynamic 8-(3, 3, 8, 8)",
        "dynamic 8 unsigned-(3, 3, 8, 8)",
        "dynamic 4-(3, 3, 8, 8)",
        "dynamic 4 unsigned-(3, 3, 8, 8)",
        "linear 8-(10, 300)",
        "linear 4-(3, 3, 8, 8)",
        "linear 8 from min to max-(3, 3, 8, 8)",
        "linear 4 from min to max-(10, 300)",
        "root 8-(3, 3, 8, 8)",
        "root 4 up-(3, 3, 8, 8)",
        "e4m3-(10, 300)",
        "e5m2-(3, 3, 8, 8)",
        "bfloat16-(3, 3, 8, 8)",
        "float32-(3, 3, 8, 8)",
    ]
)
@pytest.mark.parametrize("shape", [(10, 300), (3, 3, 8, 8)], ids=str)
@pytest.mark.parametrize("name", CODECS)
def test_what_was_decoded_is_coded_as_itself(name, shape):
    # Signed dynamic maps have a 1 and no -1: the largest must not be negative.
    signed = isinstance(CODECS[name], codes.Dynamic8 | codes.Dynamic4)
    x = jnp.abs(array(name, shape)) if signed else array(name, shape)
    back = there_and_back(CODECS[name], x)
    again = there_and_back(CODECS[name], back)
    np.testing.assert_allclose(again, back, rtol=2e-6, atol=2e-6)


LARGEST_ERROR = {  # over the scale of a block
    "dynamic 8": 0.0071,
    "dynamic 8 unsigned": 0.0036,
    "dynamic 4": 0.1126,
    "dynamic 4 unsigned": 0.0626,
    "linear 8": 0.5 / 127 + 1e-6,
    "linear 4": 0.5 / 7 + 1e-6,
    "root 8": 1 / 255,
    "e4m3": 2**-4,
    "e5m2": 2**-3,
    "bfloat16": 2**-8,
    "float32": 0.0,
}


@pytest.mark.full(
    plain=["dynamic 4 unsigned", "linear 4", "root 8", "e4m3", "bfloat16", "float32"]
)
@pytest.mark.parametrize("name", LARGEST_ERROR)
@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6), size=st.integers(-4, 8))
def test_error_is_a_part_of_the_largest_element(name, seed, size):
    x = array(name, (64,), seed) * 10.0**size
    worst = jnp.max(jnp.abs(there_and_back(CODECS[name], x) - x))
    assert float(worst) <= LARGEST_ERROR[name] * float(jnp.max(jnp.abs(x))) * (1 + 1e-5)


@pytest.mark.full(plain=["64-200", "7-7", "3-2"])
@pytest.mark.parametrize("block, size", [(5, 12), (64, 200), (7, 7), (3, 2)])
def test_blocks_do_not_see_each_other(block, size):
    x = array("", (size,))
    whole = there_and_back(codes.Linear(block, bits=4), x)
    parts = [x[i : i + block] for i in range(0, size, block)]
    apart = [there_and_back(codes.Linear("tensor", bits=4), p) for p in parts]
    np.testing.assert_allclose(whole, jnp.concatenate(apart), rtol=1e-6)


@pytest.mark.full(plain=["linear 8 from min to max", "root 4 up", "float32"])
@pytest.mark.parametrize("name", CODECS)
def test_parts_are_coded_as_the_whole(name):
    codec, x = CODECS[name], array(name, (20, 256))
    key = jax.random.key(3)
    block = codec.block_for(x.shape)
    if block == x.size:
        return
    for options in ({}, {"key": key}):
        encode = jax.jit(functools.partial(codec.encode, block=block))
        whole = encode(x, **options)
        cut, parts = codec.cut((1280,), block), []
        for i in range(4):
            if options:
                ids = jnp.arange(cut.count, dtype=jnp.uint32) + i * cut.count
                options["block_ids"] = ids
            part = x.reshape(-1)[1280 * i : 1280 * (i + 1)]
            parts.append(encode(part, **options))
        for one, several in zip(whole, zip(*parts, strict=True), strict=True):
            if one is not None:
                flat = np.concatenate([np.asarray(p).reshape(-1) for p in several])
                np.testing.assert_array_equal(np.asarray(one).reshape(-1), flat)


@pytest.mark.full(plain=["linear 8", "root 8", "float32"])
@pytest.mark.parametrize("name", [n for n in CODECS if "up" not in n])
def test_stochastic_rounding_has_no_bias(name):
    codec, x = CODECS[name], jnp.abs(array(name, (64,), 5))
    x = x.at[0].set(1.2 * x.max())
    if name == "dynamic 4 unsigned":
        x = jnp.maximum(x, x.max() / 16)  # it has no zero to round down to
    keys = jax.random.split(jax.random.key(0), 2000)
    drawn = jax.vmap(lambda key: there_and_back(codec, x, key))(keys)
    spread = jnp.std(drawn, axis=0) / np.sqrt(len(keys))
    error = jnp.abs(jnp.mean(drawn, axis=0) - x)
    if "to max" in name:  # the ends are cut where the offset is rounded inwards
        error = error.at[jnp.array([jnp.argmin(x), jnp.argmax(x)])].set(0)
    # A rare neighbour may not have been drawn at all.
    assert bool(jnp.all(error <= 5 * spread + 1e-3 * x.max())), error


@pytest.mark.full(
    plain=["dynamic 4 unsigned", "linear 8", "e4m3", "bfloat16", "float32"]
)
@pytest.mark.parametrize("name", CODECS)
def test_zeros_and_faults(name):
    codec = CODECS[name]
    zeros = there_and_back(codec, jnp.zeros(64, jnp.float32))
    assert not bool(jnp.any(zeros))
    tiny = there_and_back(codec, jnp.full(64, 1e-42, jnp.float32))
    assert bool(jnp.all(jnp.isfinite(tiny)))
    x = array(name, (2, 256)).at[0, 3].set(jnp.nan)
    back = there_and_back(codec, x)
    assert not bool(jnp.isfinite(back[0, 3]))
    if codec.block == 256:
        assert bool(jnp.all(jnp.isfinite(back[1])))


@pytest.mark.full
def test_straight_through():
    x = array("", (64,))
    codec = codes.dynamic(4)
    value, slope = jax.value_and_grad(lambda x: jnp.sum(codec.rounded(x) ** 2))(x)
    np.testing.assert_array_equal(codec.rounded(x), there_and_back(codec, x))
    np.testing.assert_allclose(slope, 2 * codec.rounded(x), rtol=1e-6)
    assert float(value) > 0
    through = jax.grad(lambda x: jnp.sum(there_and_back(codec, x)))(x)
    assert not bool(jnp.any(through))


def test_root_rounded_up_never_shrinks():
    codec = codes.SquareRoot(bits=4, round_up=True)
    x = array("root 4 up", (512,), 3)
    back = there_and_back(codec, x)
    assert bool(jnp.all(back >= x * (1 - 1e-3))) and bool(jnp.all(back > 0))


def test_packing():
    halves = jnp.arange(32, dtype=jnp.uint8).reshape(2, 16) % 16
    packed = packing.pack(halves)
    assert packed.shape == (1, 16)
    np.testing.assert_array_equal(packing.unpack(packed), halves)


@pytest.mark.parametrize(
    "make, text",
    [
        (lambda: codes.dynamic(5), "bits must be 4 or 8; got 5"),
        (lambda: codes.dynamic(8, block=0), "block must be a number.*got 0"),
        (lambda: codes.Linear("column"), "block must be.*got 'column'"),
        (lambda: codes.Linear(bits=3), "bits must be 4 or 8; got 3"),
        (lambda: codes.Linear(min_range=0.0), "min_range must be above 0"),
        (lambda: codes.SquareRoot(bits=2), "bits must be 4 or 8"),
        (lambda: codes.FloatingPoint8(dtype="float8"), "unknown dtype 'float8'"),
        (lambda: codes.Cast("float16"), "unknown dtype 'float16'"),
    ],
)
def test_refusals(make, text):
    with pytest.raises(InputError, match=text):
        make()
