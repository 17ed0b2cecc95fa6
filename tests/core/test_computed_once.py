"""A call that XLA:CPU does not fuse into its readers: text, values, derivatives."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxopt_lab.core import computed_once as module
from jaxopt_lab.core.computed_once import computed_once


def read_twice(x):
    y = computed_once(lambda x: jnp.where(x > 0, jnp.sqrt(x) * 3, x * x), x)
    # A reduction and a cumulative sum: two programs that read every element.
    return jnp.sort(y) + y.reshape(-1, 2).max()


@pytest.fixture
def one_cpu(monkeypatch):
    monkeypatch.setattr(module, "for_one_cpu", lambda *_: True)


def test_it_is_a_call_with_the_operations_of_the_function_inside(one_cpu):
    x = jax.ShapeDtypeStruct((64,), jnp.float32)
    text = jax.jit(lambda x: read_twice(x)).lower(x).compile().as_text()
    assert text.count('inlineable="false"') == 1
    assert text.count(" sqrt(") == 1


def test_among_several_devices_it_is_inlined():
    x = jax.ShapeDtypeStruct((64,), jnp.float32)
    text = jax.jit(lambda x: read_twice(x)).lower(x).compile().as_text()
    assert "inlineable" not in text


def test_values_derivatives_and_batches_are_those_of_the_function(one_cpu, monkeypatch):
    x = jnp.asarray(np.random.default_rng(0).normal(size=(3, 8)))
    value = lambda x: jnp.sum(read_twice(x) ** 2)

    def all_of():
        return jax.jit(
            lambda x: (jax.vmap(read_twice)(x), jax.vmap(jax.grad(value))(x))
        )(x)

    found = all_of()
    monkeypatch.setattr(module, "for_one_cpu", lambda *_: False)
    chex.assert_trees_all_close(found, all_of(), rtol=1e-13)


def test_outside_of_a_program_it_is_the_function():
    assert float(computed_once(jnp.square, jnp.array(3.0))) == 9
