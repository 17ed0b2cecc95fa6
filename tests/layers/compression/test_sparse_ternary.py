"""Ternary matrices: their bits for ever, their moments, and the layer."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.layers import sparse_ternary, ternary_matmul, ternary_matrix

GOLDEN = {
    (0, 0, True): [[1, 0, -1], [-1, 0, 0], [0, -1, 0], [0, -1, -1]],
    (2**32 - 1, 7, False): [[1, 0, 0, 0, -1], [-1, -1, 0, 1, 0], [-1, 1, 0, -1, 1]],
}


def by_hand(seed, layer, shape, density, balanced):
    """The definition with Python's whole numbers."""
    step, full = 0x9E3779B9, 2**32 - 1

    def mixed(x):
        x = (x ^ (x >> 16)) * 0x7FEB352D & full
        x = (x ^ (x >> 15)) * 0x846CA68B & full
        return x ^ (x >> 16)

    start = mixed(mixed(seed + step & full) ^ layer)
    row = [mixed(start + step * (i + 1) & full) for i in range(shape[0])]
    column = [mixed(step * (j + 1) & full) for j in range(shape[1])]
    bits = [[mixed(a + b & full) for b in column] for a in row]
    found = np.zeros(shape, int)
    for j in range(shape[1]):
        column = [row[j] for row in bits]
        if balanced:
            kept = sorted(range(shape[0]), key=column.__getitem__)
            kept = kept[: int(density * shape[0] + 0.5)]
        else:
            kept = [i for i, b in enumerate(column) if b < density * 2**32]
        for i in kept:
            found[i, j] = -1 if mixed(column[i] ^ step) >> 31 else 1
    return found


@pytest.mark.parametrize("seed, layer, balanced", GOLDEN)
def test_the_bits_of_today(seed, layer, balanced):
    want = np.array(GOLDEN[seed, layer, balanced])
    options = {"layer": layer, "balanced": balanced}
    make = functools.partial(ternary_matrix, seed, want.shape, **options)
    np.testing.assert_array_equal(by_hand(seed, layer, want.shape, 0.5, balanced), want)
    both = jax.jit(lambda: (make(), make(dtype=jnp.bfloat16), make(dtype=jnp.int8)))()
    for found in both:
        np.testing.assert_array_equal(np.asarray(found, np.float32), want)
    np.testing.assert_array_equal(make(), want)  # outside of jit
    mesh = jax.make_mesh((1,), ("a",), (jax.sharding.AxisType.Auto,))
    spec = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("a"))
    np.testing.assert_array_equal(jax.jit(make, out_shardings=spec)(), want)


@functools.cache
def large():
    make = functools.partial(ternary_matrix, 3, (256, 200), density=0.25)

    @jax.jit
    def run():
        x = jnp.cos(jnp.arange(24.0)).reshape(2, 12)
        seeds = jnp.stack([ternary_matrix(i, (12, 800), density=0.25) for i in (0, 1)])
        whole = jnp.arange(-128, 128, 4, dtype=jnp.int8).reshape(4, 16)
        t = ternary_matrix(1, (16, 5), dtype=jnp.int8)
        return {
            "balanced": make(),
            "free": make(balanced=False),
            "other": make(layer=1),
            "x": x,
            "outputs": jnp.einsum("bi,sio->sbo", x, seeds),
            "added": (ternary_matmul(whole, t), whole, t),
        }

    return jax.tree.map(np.asarray, run())


def test_counts_signs_and_independence():
    found = large()
    for name in ("balanced", "free", "other"):
        t = found[name]
        assert set(np.unique(t)) == {-1, 0, 1}
        assert abs(t.mean()) < 4 * 0.5 / np.sqrt(t.size)
    assert np.all((found["balanced"] != 0).sum(0) == 64)
    share = (found["free"] != 0).mean()
    assert abs(share - 0.25) < 4 * np.sqrt(0.25 * 0.75 / found["free"].size)
    # Products of entries of two layers: of variance 1/16, about 0.
    product = found["balanced"] * found["other"]
    assert abs(product.mean()) < 4 * 0.25 / np.sqrt(product.size)


def test_squares_and_inner_products_are_kept_in_the_mean():
    """Over two seeds of 800 outputs, within 4 deviations that are below 2 / 40."""
    found = large()
    outputs, x = found["outputs"], found["x"]
    inner = np.einsum("sbo,sco->bc", outputs, outputs) / (1600 * 0.25)
    np.testing.assert_allclose(inner, x @ x.T, atol=4 * 2 / 40 * np.sum(x * x) / 2)


def test_additions_are_the_product():
    got, x, t = large()["added"]
    assert got.dtype == np.int32
    np.testing.assert_array_equal(got, x.astype(np.int32) @ t.astype(np.int32))


def test_the_layer_has_no_parameters_and_the_gradient_of_a_product():
    layer = sparse_ternary(12, out=7, seed=5, layer=2, density=0.25)
    assert layer.init(jax.random.key(0)) == ({}, {})
    x, g = np.ones((3, 12), np.float32), np.ones((3, 7), np.float32)

    @jax.jit
    def run(x, g):
        apply = lambda x: layer.apply({}, {}, x, train=True)[0]
        y, back = jax.vjp(apply, x)
        t = ternary_matrix(5, (12, 7), layer=2, density=0.25) / jnp.sqrt(3.0)
        return y - x @ t, back(g)[0] - g @ t.T

    for gap in run(x, g):
        np.testing.assert_allclose(gap, 0, atol=1e-6)


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda: ternary_matrix(-1, (4, 4)), "seed"),
        (lambda: ternary_matrix(2**32, (4, 4)), "seed"),
        (lambda: ternary_matrix(0, (4, 4), density=1.5), "density"),
        (lambda: sparse_ternary(4, density=0.1), "at least 0.125"),
        (lambda: sparse_ternary(4, out=0), "out"),
    ],
)
def test_bad_input(call, words):
    with pytest.raises(InputError, match=words) as error:
        call()
    assert "\n" not in str(error.value)
