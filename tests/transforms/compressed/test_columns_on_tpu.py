"""The form of the chunk loop for a TPU, run on CPU: the same numbers."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxopt_lab
from jaxopt_lab.core.codecs import dynamic_map
from jaxopt_lab.transforms.compressed import chunks

# Rows of several blocks, in two axes and in three; rows of one block, and a vector.
SHAPES = {"w": (256, 512), "conv": (2, 128, 512), "one": (64, 256), "b": (512,)}
METHODS = [("adamw8bit", {}), ("adamw4bit", {}), ("adamw8bit", {"stochastic": True})]


def arrays(seed):
    draw = np.random.default_rng(seed)
    return {n: draw.normal(size=s).astype(np.float32) for n, s in SHAPES.items()}


def two_steps(name, options):
    tx = getattr(jaxopt_lab, name)(1e-2, min_size=1000, **options)
    params = arrays(0)
    state = jax.jit(tx.init)(params)

    def step(carry, grads):
        updates, state = tx.update(grads, carry[1], carry[0])
        return (jax.tree.map(jnp.add, carry[0], updates), state), None

    run = jax.jit(step)
    for seed in (1, 2):
        (params, state), _ = run((params, state), arrays(seed))
    return params, jax.tree.leaves(state)


# Codes that fill a tile in two units, of four: pieces of two.
@pytest.mark.parametrize("columns, inner", [(128, (3,)), (6, (2, 3))])
def test_columns_are_those_of_the_blocks(columns, inner, monkeypatch):
    monkeypatch.setattr(chunks, "_TILE_COLUMNS", columns)
    shape, tile = (2, 4, 12), (3,)
    one = lambda x: chunks.ChunkedOperand(x, lambda n: n, tile)
    scale = lambda x: chunks.ChunkedOperand(x, lambda n: n // 3, (1,))

    def body(carried, read, part):
        (x, _), (y,) = carried, read
        assert part.shape == (8, *inner) and part.rows == 8 and part.row == 12
        blocks = jnp.arange(math.prod(inner) // 3, dtype=jnp.float32)
        begin = part.first + 3 * blocks.reshape(1, *inner[:-1], 1)
        return [x + y + begin, jnp.max(y, axis=-1, keepdims=True)]

    x, y = (np.arange(96, dtype=np.float32).reshape(shape) % k for k in (7, 11))
    largest = np.zeros((2, 4, 4), np.float32)
    new, found = chunks._in_columns(
        body, [one(jnp.asarray(x)), scale(jnp.asarray(largest))], [one(y)], shape, tile
    )
    np.testing.assert_array_equal(new, x + y + np.arange(12) // 3 * 3)
    np.testing.assert_array_equal(found, y.reshape(2, 4, 4, 3).max(-1))


def test_units_of_a_piece():
    of = lambda *tile: chunks.ChunkedOperand(jnp.zeros(0), lambda n: n, tile)
    # Codes of half a byte, with their scales; an odd number of blocks; whole bytes.
    assert chunks._units([of(128), of(64), of(1)], 6) == 2
    assert chunks._units([of(128), of(64), of(1)], 5) == 1
    assert chunks._units([of(256), of(1)], 6) == 1


def test_tensors_of_several_columns_and_enough_rows_are_cut_by_columns(monkeypatch):
    assert not chunks._by_columns((64, 128), 64, ())
    monkeypatch.setattr(chunks, "traced_for", lambda *_: "tpu")
    for shape in ((64, 128), (2, 32, 192)):
        assert chunks._by_columns(shape, 64, ())
    # One column, a part of one, few rows, a vector.
    for shape in ((64, 64), (64, 32), (64, 100), (63, 128), (128,)):
        assert not chunks._by_columns(shape, 64, ())


@pytest.mark.full
@pytest.mark.parametrize("name, options", METHODS)
def test_columns_give_the_same_step_as_runs(name, options, monkeypatch):
    plain = two_steps(name, options)
    calls = []
    in_columns = chunks._in_columns

    def counted(*arguments):
        calls.append(arguments)
        return in_columns(*arguments)

    monkeypatch.setattr(chunks, "_in_columns", counted)
    for module in (chunks, dynamic_map):
        monkeypatch.setattr(module, "traced_for", lambda *_: "tpu")
    params, state = two_steps(name, options)
    assert len(calls) == 2  # two tensors of `SHAPES`
    for x, y in zip(state, plain[1], strict=True):
        if x.dtype == jnp.uint8:
            assert np.mean(np.asarray(x) != np.asarray(y)) < 1e-4
        elif jnp.issubdtype(x.dtype, jnp.floating):
            np.testing.assert_allclose(x, y, rtol=2e-6)
    for x, y in zip(params.values(), plain[0].values(), strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-5, atol=1e-6)
