"""The mask of a prefix: its definition, and who depends on whom through attention."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.layers import prefix_causal_mask, softmax_attention

RNG = np.random.default_rng(0)


def test_it_is_the_definition_and_causal_without_a_prefix():
    prefixes = np.array([[0, 2, 5], [1, 7, 3]], np.int32)
    masks = jax.jit(lambda p: (prefix_causal_mask(5, p), prefix_causal_mask(5, 0)))
    found, causal = map(np.asarray, masks(prefixes))
    for p, mask in zip(prefixes.ravel(), found.reshape(6, 5, 5), strict=True):
        wanted = [[j <= i or j < p for j in range(5)] for i in range(5)]
        assert np.array_equal(mask, wanted)
    assert np.array_equal(causal, np.tril(np.ones((5, 5))))


def test_the_prefix_sees_itself_and_no_position_the_future_behind_it():
    x = RNG.normal(size=(1, 6, 2, 3))
    wanted = np.tril(np.ones((6, 6), bool)) | (np.arange(6) < 3)

    def outputs(x):
        seen = prefix_causal_mask(6, 3)[None, None]
        return jnp.sum(softmax_attention(x, x, x, seen=seen), axis=(0, 2, 3))

    slopes = np.asarray(jax.jit(jax.jacobian(outputs))(x))
    depends = np.abs(slopes).sum(axis=(1, 3, 4)) > 1e-6
    assert np.array_equal(depends, wanted)


def test_what_is_refused():
    with pytest.raises(InputError, match="prefix_length must be integers"):
        prefix_causal_mask(3, 1.5)
    with pytest.raises(InputError, match="length must be"):
        prefix_causal_mask(0, 1)
