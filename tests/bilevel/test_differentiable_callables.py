"""Functions of the user inside of `differentiable` keep their derivatives."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from support import audit

import jaxopt_lab
from jaxopt_lab.bilevel import differentiable


def test_gradient_functions_keep_their_own_derivatives():
    params = jnp.array([0.0, 1.0])
    bad = lambda p, i=0: jnp.sqrt(p)  # its derivative at zero is infinite

    def update(updates, state, params=None, *, grad_fn, **extra):
        return jnp.sqrt(updates) * grad_fn(params, 0), state

    tx = differentiable(optax.GradientTransformationExtraArgs(lambda p: (), update))
    f = lambda g, p: jnp.sum(tx.update(g, (), p, grad_fn=bad)[0])
    by_gradient, by_params = jax.jit(jax.grad(f, (0, 1)))(params, params)
    np.testing.assert_allclose(by_gradient, [0.0, 0.5])
    # 0 * inf: nothing of ours covers it up.
    assert np.isnan(by_params[0]) and by_params[1] == 0.5


def test_the_loss_of_a_line_search_keeps_its_own_derivatives():
    names = []

    def update(updates, state, params=None, *, value_fn, **extra):
        value, slope = jax.value_and_grad(value_fn)(params)
        names.append(str(jax.make_jaxpr(jax.value_and_grad(value_fn))(params)))
        return jnp.sqrt(updates) * slope * value, state

    tx = differentiable(optax.GradientTransformationExtraArgs(lambda p: (), update))
    value_fn = lambda p: jnp.sqrt(p)
    f = lambda p: tx.update(jnp.float64(0.0), (), p, value_fn=value_fn)[0]
    assert np.isnan(jax.grad(f)(0.0))
    assert jax.grad(f)(1.0) == 0.0
    assert "jaxopt_lab_opaque" in names[0]


@pytest.mark.full
@pytest.mark.parametrize("name", ["sam", "msam", "lookbehind"])
def test_gradient_functions_that_know_their_batch(name):
    loss = lambda p, x: jnp.mean(jnp.cos(x @ p["w"]))
    batch = jnp.asarray(np.random.default_rng(0).normal(size=(4, 3)))
    params = {"w": jnp.array([0.3, -0.2, 0.9])}
    make = {
        "sam": lambda: optax.chain(jaxopt_lab.sam(0.05), optax.adam(0.1)),
        "msam": lambda: optax.chain(
            jaxopt_lab.msam(rho=0.05, num_shards=2), optax.adam(0.1)
        ),
        "lookbehind": lambda: jaxopt_lab.lookbehind(optax.adam(0.1), k=2),
    }[name]

    def step(tx, params):
        grad_fn = jaxopt_lab.batch_grad(loss, batch)
        return tx.update(grad_fn(params), tx.init(params), params, grad_fn=grad_fn)

    for run in (jax.jit, lambda f: f):
        a, b = (
            run(lambda p, tx=tx: step(tx, p))(params)
            for tx in (differentiable(make()), make())
        )
        assert jax.tree.structure(a) == jax.tree.structure(b)
        np.testing.assert_allclose(audit.flat(a), audit.flat(b), rtol=1e-13)
    one = lambda p: jnp.sum(step(differentiable(make()), p)[0]["w"])
    assert bool(jnp.all(jnp.isfinite(jax.grad(one)(params)["w"])))
