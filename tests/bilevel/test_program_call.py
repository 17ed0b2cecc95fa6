"""A program that is called whole, in pieces, or operation by operation."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.extend import core

from jaxopt_lab.bilevel.program_call import ProgramCall

X = jnp.array([0.5, -1.5])


def f(arrays):
    a, b = arrays
    # A result, the first argument, a number, the result once more.
    c = jnp.sin(a) * b
    return [c, a, 2.0, c, jnp.sin(b) * a]


def program():
    return jax.make_jaxpr(jax.jit(f))([X, X + 1])


TRACES = {
    "none": lambda g: g,
    "jit": jax.jit,
    "derivative": lambda g: lambda x: jax.jvp(g, (x,), (jnp.ones(2),)),
    "derivative in jit": lambda g: jax.jit(lambda x: jax.jvp(g, (x,), (x + 2,))),
    "vmap in jit": lambda g: jax.jit(jax.vmap(g)),
    "jit in vmap": lambda g: jax.vmap(jax.jit(g)),
}


@pytest.mark.parametrize("name", TRACES)
def test_results_under_every_trace(name):
    call = ProgramCall(program())
    run = lambda h: TRACES[name](lambda x: list(h(x, x + 1)))(X)
    ours, direct = run(call), run(lambda *arrays: f(arrays))
    assert jax.tree.structure(ours) == jax.tree.structure(direct)
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(direct), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-15)


def test_without_a_border_in_jit():
    call = ProgramCall(program())
    primitives = lambda h: [
        eqn.primitive.name for eqn in jax.make_jaxpr(h)(X, X + 1).jaxpr.eqns
    ]
    assert primitives(call) == primitives(lambda *arrays: f(arrays))


def test_where_jit_is_disabled():
    with jax.disable_jit():
        closed = program()
        assert len(closed.jaxpr.eqns) == 4
        (a, *_), (b, *_) = ProgramCall(closed)(X, X + 1), f([X, X + 1])
    np.testing.assert_array_equal(a, b)
    assert core.jaxpr_as_fun(closed)(X, X + 1)[2] == 2.0
