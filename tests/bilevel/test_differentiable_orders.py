"""Second derivatives through unrolls with `differentiable`."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from support import audit

from jaxopt_lab.bilevel import differentiable


def unrolled(wrap, rate, params):
    """Four steps of Adam in a scan of checkpoints, vectorised over two runs."""
    tx = wrap(optax.adam(rate))

    @jax.checkpoint
    def body(carry, _):
        params, state = carry
        updates, state = tx.update(audit.gradient(params, ()), state, params)
        return (optax.apply_updates(params, updates), state), None

    def one(scale):
        start = jax.tree.map(lambda p: scale * p, params)
        (end, _), _ = jax.lax.scan(body, (start, tx.init(start)), None, length=4)
        return audit.outer_loss(end)

    return jnp.sum(jax.jit(jax.vmap(one))(jnp.array([1.0, 1.5])))


@pytest.mark.full
def test_second_derivatives_through_a_scan():
    # Both factors zero: they stay zero, and so does what depends on them.
    params = {**audit.start(0), "ab": jnp.zeros(2)}
    f = lambda rate: unrolled(differentiable, rate, params)
    first = jax.jit(jax.grad(f))
    assert not np.isfinite(jax.grad(lambda r: unrolled(lambda tx: tx, r, params))(0.1))
    measured = audit.central(f, 0.1, 1.0, 1e-4)
    np.testing.assert_allclose(first(0.1), measured, rtol=1e-8)
    np.testing.assert_allclose(first(0.1), jax.jit(jax.jacfwd(f))(0.1), rtol=1e-12)
    second = jax.jit(jax.grad(jax.grad(f)))(0.1)
    measured = audit.central(first, 0.1, 1.0, 1e-4)
    np.testing.assert_allclose(second, measured, rtol=1e-8)
    np.testing.assert_allclose(second, jax.jit(jax.jacfwd(first))(0.1), rtol=1e-12)


@pytest.mark.full
def test_second_derivatives_by_the_parameters():
    # Without the number below the root the true second slopes of Adam at the zero of
    # the product are of order 1 / eps^2, and no finite difference meets them.
    tx = differentiable(optax.adam(0.1, eps_root=1e-4))
    flat, unravel = jax.flatten_util.ravel_pytree(audit.start(2))

    def f(x):
        def body(carry, _):
            params, state = carry
            updates, state = tx.update(audit.gradient(params, ()), state, params)
            return (optax.apply_updates(params, updates), state), None

        start = unravel(x)
        end, _ = jax.lax.scan(body, (start, tx.init(start)), None, length=3)
        return audit.outer_loss(end[0])

    first = jax.jit(jax.grad(f))
    way = jnp.cos(jnp.arange(flat.size, dtype=flat.dtype))
    exact = jax.jit(jax.grad(lambda x: jax.grad(f)(x) @ way))(flat)
    measured = audit.central(first, flat, way, 1e-5)
    scale = float(jnp.max(jnp.abs(measured)))
    np.testing.assert_allclose(exact, measured, atol=1e-6 * scale, rtol=0)
