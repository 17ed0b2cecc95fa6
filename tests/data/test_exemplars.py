"""Exemplars against a greedy search in NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.data import herding


def greedy(x, count):
    """By the definition: the mean of the chosen nearest to the mean of all."""
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    mean, chosen = unit.mean(axis=0), []
    for _ in range(count):
        left = [i for i in range(len(x)) if i not in chosen]
        gaps = [np.linalg.norm(mean - unit[[*chosen, i]].mean(axis=0)) for i in left]
        chosen.append(left[int(np.argmin(gaps))])
    return chosen


def test_herding_is_the_greedy_search():
    x = np.random.default_rng(0).normal(1.0, 1.0, size=(15, 4))
    where = np.arange(15) < 9

    @jax.jit
    def run(x):
        part = herding(jnp.where(where[:, None], x, jnp.nan), 11, where=where)
        return herding(x, 15), herding(x, 6), part

    found, first, part = (one.tolist() for one in run(x))
    assert found == greedy(x, 15)
    assert first == found[:6]
    assert part == [*greedy(x[:9], 9), -1, -1]


def test_bad_input_is_one_line():
    for x, count, words in (
        (jnp.ones(3), 1, "features must be"),
        (jnp.ones((3, 2)), 0, "count must be"),
    ):
        with pytest.raises(InputError, match=words) as raised:
            herding(x, count)
        assert "\n" not in str(raised.value)
