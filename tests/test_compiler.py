"""The quick compiler of the plain run."""

import os

import jax
import jax.numpy as jnp
from support import compiler


def test_a_flag_that_this_jaxlib_does_not_take_is_left_out():
    assert not compiler.known("--xla_no_such_flag=true")
    assert compiler.known("--xla_force_host_platform_device_count=8")


def test_quickly_leaves_everything_as_it_was():
    def seen():
        flags = os.environ.get("XLA_FLAGS"), os.environ.get(name.upper())
        return jax.config.read(name), *flags

    name = "jax_disable_most_optimizations"
    before = seen()
    with compiler.quickly():
        assert seen()[0] and seen()[2] == "true"
        found = jax.jit(lambda x: jnp.sin(x) * 3)(jnp.arange(3.0))
    assert seen() == before
    assert jnp.allclose(found, 3 * jnp.sin(jnp.arange(3.0)))
