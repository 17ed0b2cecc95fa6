"""The dynamic map by arithmetic is that of the tables, to the last bit."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxopt_lab.core import codecs as codes
from jaxopt_lab.core.codecs import decades, dynamic_map

MAPS = [(8, True), (8, False), (4, True)]


@pytest.mark.parametrize("bits, signed", MAPS)
def test_magnitudes(bits, signed):
    number = {8: 7, 4: 3}[bits]
    values = dynamic_map.magnitudes(bits, signed)
    index = np.arange(len(values), dtype=np.float32)
    found = jax.jit(decades.magnitude, static_argnums=(1, 2))(index, number, signed)
    np.testing.assert_array_equal(found, values.astype(np.float32))


@pytest.mark.parametrize("signed", [True, False])
def test_the_index_changes_at_each_threshold_and_nowhere_else(signed):
    least = dynamic_map.thresholds(8, signed)
    draw = np.random.default_rng(0)
    a = np.concatenate(
        [
            least,
            np.nextafter(least, np.float32(0)),
            np.nextafter(least, np.float32(1)),
            dynamic_map.magnitudes(8, signed),
            10.0 ** (-8 * draw.random(20_000)),
            [np.finfo(np.float32).tiny, 1e-45],
        ]
    ).astype(np.float32)
    a = a[a <= 1]
    found = jax.jit(lambda a: dynamic_map.nearest(a, 8, signed))(a)
    np.testing.assert_array_equal(found, np.searchsorted(least, a, side="right"))
    # Of what is no number it is some code.
    assert (
        0 <= float(dynamic_map.nearest(jnp.float32(jnp.nan), 8, signed)) <= len(least)
    )


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
