"""Safe derivatives of matrix factorizations."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support.safe_rules import safe

SHAPES = [(3, 3), (4, 2), (2, 4)]
FACTORIZATIONS = {
    "svd": lambda x: jnp.linalg.svd(x, full_matrices=False),
    "svdvals": lambda x: jnp.linalg.svd(x, compute_uv=False),
    "qr": jnp.linalg.qr,
    "eigh": lambda x: jnp.linalg.eigh(x @ x.T),
}


def matrix(shape):
    return jnp.asarray(np.random.default_rng(0).normal(size=shape))


@pytest.mark.full(
    plain=["svdvals-shape0", "svdvals-shape1", "svdvals-shape2", "eigh-shape1"]
)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", FACTORIZATIONS)
def test_jax_own_at_ordinary_matrices(name, shape):
    if name == "eigh" and shape == (4, 2):
        pytest.skip("two eigenvalues of zero: jax's own is not finite")
    f, x = FACTORIZATIONS[name], matrix(shape)
    t = jnp.cos(x)
    ours, theirs = (
        jax.jit(lambda x, t, g=g: jax.jvp(g, (x,), (t,)))(x, t) for g in (safe(f), f)
    )
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-12)
    for a, b in zip(jax.tree.leaves(safe(f)(x)), jax.tree.leaves(f(x)), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.full(plain=["svdvals-rank one", "qr-equal values"])
@pytest.mark.parametrize(
    "x",
    [
        np.zeros((3, 3)),
        np.eye(3),
        np.zeros((3, 2)),
        np.ones((2, 3)),
        np.diag([1, 0, 0]),
    ],
    ids=["zero", "equal values", "zero, tall", "rank one, wide", "rank one"],
)
@pytest.mark.parametrize("name", FACTORIZATIONS)
def test_finite_where_values_coincide(name, x):
    def f(x):
        parts = jax.tree.leaves(safe(FACTORIZATIONS[name])(x))
        return sum(jnp.sum(jnp.sin(part)) for part in parts)

    x = jnp.asarray(x, jnp.float64)
    assert bool(jnp.all(jnp.isfinite(jax.jit(jax.grad(f))(x))))
    twice = jax.grad(lambda x: jnp.sum(jnp.cos(jax.grad(f)(x))))
    assert bool(jnp.all(jnp.isfinite(jax.jit(twice)(x))))


@pytest.mark.full
@pytest.mark.parametrize("name", FACTORIZATIONS)
def test_batches(name):
    f = safe(FACTORIZATIONS[name])
    x = jnp.stack([matrix((3, 2)), 2 * matrix((3, 2)), jnp.zeros((3, 2))])
    batched = jax.tree.leaves(jax.vmap(f, in_axes=2)(jnp.moveaxis(x, 0, 2)))
    for i in range(3):
        for part, one in zip(batched, jax.tree.leaves(f(x[i])), strict=True):
            np.testing.assert_allclose(part[i], one, atol=1e-14)


def test_options_without_a_rule_are_left_to_jax():
    x = matrix((4, 2))
    for f in (
        lambda x: jnp.linalg.svd(x, full_matrices=True),
        lambda x: jnp.linalg.qr(x, mode="complete"),
    ):
        assert "safe" not in str(jax.make_jaxpr(safe(f))(x))
