"""The ways to run a loop give the same numbers."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxopt_lab.core import jaxprs, loops
from jaxopt_lab.core.errors import InputError

MODES = ["unroll", "vmap", "scan"]


def item(x):
    return {"y": jnp.sin(x["a"]) * 2, "n": x["n"], "k": x["k"]}


def items(n=4):
    return {
        "a": jnp.arange(3.0 * n).reshape(n, 3),
        "n": jnp.arange(n) + 5,
        "k": jax.random.split(jax.random.key(0), n),
    }


def data(tree):
    return {**tree, "k": jax.random.key_data(tree["k"])}


@pytest.mark.parametrize("mode", MODES)
def test_map_items(mode):
    out = jax.jit(lambda xs: loops.map_items(item, xs, mode))(items())
    expected = loops.stack([item(loops.take(items(), i)) for i in range(4)])
    chex.assert_trees_all_close(data(out), data(expected), rtol=1e-14)


@pytest.mark.parametrize("n", [1, 4])
@pytest.mark.parametrize("mode", MODES)
def test_mean_items_averages_floats_and_keeps_the_first_of_the_rest(mode, n):
    out = jax.jit(lambda xs: loops.mean_items(item, xs, mode))(items(n))
    np.testing.assert_allclose(out["y"], np.sin(items(n)["a"]).mean(0) * 2, rtol=1e-14)
    assert int(out["n"]) == 5
    first = jax.random.key_data(items(n)["k"][0])
    assert jnp.all(jax.random.key_data(out["k"]) == first)


@pytest.mark.parametrize("mode", MODES)
def test_means_of_narrow_types_accumulate_in_float32(mode):
    xs = jnp.concatenate([jnp.full((1,), 256.0), jnp.ones(255)]).astype(jnp.bfloat16)
    mean = loops.mean_items(lambda x: x, xs, mode)
    assert mean.dtype == jnp.bfloat16
    # In bfloat16 256 + 1 is 256, so the mean would come out as 1.
    assert float(mean) == float(jnp.bfloat16((256 + 255) / 256))


def conv(x):
    kernel = jnp.ones((3, 3, 1, 1))
    return jax.lax.conv_general_dilated(
        x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


def test_convolutions_are_found_inside_nested_programs():
    x = jax.ShapeDtypeStruct((1, 4, 4, 1), jnp.float64)
    hidden = jax.jit(lambda x: jax.lax.cond(jnp.all(x > 0), conv, lambda y: y, x))

    def scanned(x):
        return jax.lax.scan(lambda c, _: (hidden(c), None), x, length=2)[0]

    assert loops.contains_convolution(conv, x)
    assert loops.contains_convolution(scanned, x)
    assert loops.contains_convolution(jax.checkpoint(conv), x)
    assert not loops.contains_convolution(jnp.sin, x)


def test_choose_unrolls_convolutions_on_cpu_only(monkeypatch):
    x = jnp.ones((1, 4, 4, 1))
    assert loops.choose("vmap", conv, x) == "unroll"
    assert loops.choose("vmap", jnp.sin, x) == "vmap"
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert loops.choose("vmap", conv, x) == "vmap"


def test_an_unknown_mode_is_named():
    with pytest.raises(InputError, match="unknown mode 'vmp'; perhaps you meant 'vmap"):
        loops.check_mode("vmp")


def repeated(loop, x):
    """A state of two dtypes; the step closes over an array and over integers of it."""
    codes = jnp.sign(x).astype(jnp.int32)

    def step(i, state):
        y, turns = state
        return jnp.sin(x * y) + (i + codes).astype(y.dtype), turns + i

    return loop(step, (x + 1, jnp.int32(0)))


def test_repeat_is_a_loop_with_its_derivatives():
    x = jnp.array([0.3, -0.7])
    plain = lambda step, state: jax.lax.fori_loop(
        0, 3, lambda i, state: step(jnp.int32(i), state), state
    )
    wanted = lambda x: repeated(plain, x)[0].sum()
    traced = lambda step, state: loops.repeat(step, jnp.int32(3), state, most=5)
    for loop in (lambda step, state: loops.repeat(step, 3, state), traced):
        found = lambda x, loop=loop: repeated(loop, x)[0].sum()
        assert int(repeated(loop, x)[1]) == 3
        for transformed in (lambda f: f, jax.vmap, jax.grad, jax.hessian):
            ours, theirs = (jax.jit(transformed(f))(x) for f in (found, wanted))
            np.testing.assert_allclose(ours, theirs, rtol=1e-12)


def test_repeat_counts_once():
    """One counter beside the state, where a loop for derivatives has two."""
    f = lambda x: loops.repeat(lambda i, y: y + i.astype(y.dtype), 4, x)
    (loop,) = (
        eqn
        for eqn in jaxprs.equations(jax.make_jaxpr(f)(jnp.ones(2)).jaxpr)
        if eqn.primitive.name in ("while", "scan")
    )
    assert loop.primitive.name == "while"
    assert len(loop.outvars) == 2


def test_repeat_needs_a_bound_for_a_traced_number():
    with pytest.raises(InputError, match="needs most"):
        loops.repeat(lambda i, y: y, jnp.int32(3), jnp.ones(2))
