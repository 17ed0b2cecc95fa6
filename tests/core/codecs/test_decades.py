"""The dynamic map by arithmetic is that of the tables, to the last bit."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxopt_lab.core import codecs as codes
from jaxopt_lab.core.codecs import decades, dynamic_map

MAPS = [(8, True), (8, False), (4, True)]


@pytest.mark.parametrize("bits, signed", MAPS)
def test_magnitudes_and_midpoints(bits, signed):
    number = {8: 7, 4: 3}[bits]
    values = dynamic_map.magnitudes(bits, signed)
    index = np.arange(len(values), dtype=np.float32)
    found = jax.jit(decades.magnitude, static_argnums=(1, 2))(index, number, signed)
    np.testing.assert_array_equal(found, values.astype(np.float32))
    least = dynamic_map.thresholds(bits, signed)
    before = np.nextafter(least, np.float32(0))
    both = np.stack([least, before])
    below = jax.jit(decades.below_midpoint, static_argnums=(2, 3))
    at, under = below(both, index[None, 1:], number, signed)
    assert not np.any(at) and np.all(under)


@pytest.mark.full(plain=["4-True"])
@pytest.mark.parametrize("bits, signed", MAPS)
def test_codecs_traced_for_a_tpu_give_the_same_codes_and_values(
    bits, signed, monkeypatch
):
    codec = codes.dynamic(bits, block=64, signed=signed)
    x = np.random.default_rng(0).normal(size=(32, 64)).astype(np.float32)
    x = x if signed else x**2
    x[:, ::7] *= 1e-4
    x[0], x[1, :5] = 0, np.nan
    key = jax.random.key(0)

    def there_and_back(x):
        coded = codec.encode(x)
        noisy = codec.encode(x, key=key, block_ids=jnp.arange(32)).qvalue
        return coded, noisy, codec.decode(coded, x.shape, x.dtype)

    plain = jax.jit(lambda x: there_and_back(x))(x)
    monkeypatch.setattr(dynamic_map, "traced_for", lambda *_: "tpu")
    other = jax.jit(lambda x: there_and_back(x))(x)
    jax.tree.map(np.testing.assert_array_equal, plain, other)
