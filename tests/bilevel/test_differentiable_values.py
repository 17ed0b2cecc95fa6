"""The values under `differentiable` are the same to the last bit.

Where the program handed to XLA is the same text, nothing is left to compare. The
texts differ only where one nested program stands before a ``select`` in one place and
not in another, so that it is there twice; then the results are compared.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support import audit, cases

from jaxopt_lab.bilevel import differentiable


def assert_same_values(run, original, safe, *args):
    a, b = (jax.jit(functools.partial(run, tx)).lower(*args) for tx in (original, safe))
    if a.as_text() == b.as_text():
        return
    one, two = a.compile()(*args), b.compile()(*args)
    assert jax.tree.structure(one) == jax.tree.structure(two)
    for x, y in zip(jax.tree.leaves(one), jax.tree.leaves(two), strict=True):
        assert x.dtype == y.dtype
    np.testing.assert_array_equal(audit.flat(one), audit.flat(two))


@pytest.mark.full(plain=["adam-float32"])
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
@pytest.mark.parametrize("name", cases.plain(audit.AUDIT, {"adam"}))
def test_the_optimizers_of_the_audit(name, dtype):
    make, rate, _ = audit.AUDIT[name]
    params = audit.start(0, dtype)
    run = lambda tx, params: audit.run(tx, params, n=4)
    assert_same_values(run, make(rate), differentiable(make(rate)), params)


@pytest.mark.full
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
@pytest.mark.parametrize("name", ["adam", "radam", "lamb"])
def test_outside_of_jit(name, dtype):
    make, rate, _ = audit.AUDIT[name]

    def end(tx):
        return audit.flat(audit.run(tx, audit.start(0, dtype), n=4))

    np.testing.assert_array_equal(end(make(rate)), end(differentiable(make(rate))))


@pytest.mark.full
@pytest.mark.parametrize("name", ["adam", "radam"])
def test_in_a_derivative_outside_of_jit(name):
    # optax compiles its bias correction as `jit(inline=True)`, whose border a trace
    # forgets: with it the rewritten program may differ in the last bit.
    make, rate, _ = audit.AUDIT[name]

    def f(tx, x):
        params = {**audit.start(0), "c": x}
        params, rest = audit.run(tx, params, n=2)
        return audit.outer_loss(params), (params, rest)

    def values(tx):
        x = jnp.ones(1)
        return audit.flat(jax.value_and_grad(lambda x: f(tx, x), has_aux=True)(x)[0])

    both = make(rate), differentiable(make(rate))
    np.testing.assert_allclose(*map(values, both), rtol=1e-15)
    with jax.disable_jit():
        np.testing.assert_array_equal(*map(values, both))
