"""Equal pieces of a program are one function, and nothing else changes."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.extend import core
from jax.interpreters import ad
from support import audit

from jaxopt_lab.bilevel import differentiable
from jaxopt_lab.bilevel.repeated_pieces import in_pieces

LEAVES = 6


def counted():
    """A primitive that doubles, and the list of calls of its derivative's rule."""
    calls = []
    double_p = core.Primitive("double")
    double_p.def_impl(lambda x: 2 * x)
    double_p.def_abstract_eval(lambda x: x)

    def jvp(primals, tangents):
        calls.append(1)
        return double_p.bind(*primals), 2 * tangents[0]

    ad.primitive_jvps[double_p] = jvp
    return double_p, calls


@pytest.mark.parametrize("wrap", [differentiable, lambda tx: tx])
def test_equal_leaves_are_differentiated_once(wrap):
    double_p, calls = counted()
    update = lambda g, state, params=None: (jax.tree.map(double_p.bind, g), state)
    tx = wrap(optax.GradientTransformation(lambda params: (), update))
    shapes = [(3,)] * LEAVES + [(4,)] * LEAVES
    gradients = [jnp.ones(shape) for shape in shapes]
    f = lambda g: sum(jnp.sum(x) for x in tx.update(g, ())[0])
    jax.jit(jax.grad(f)).trace(gradients)
    assert len(calls) == (2 if wrap is differentiable else 2 * LEAVES)


def scanned(x):
    """Equations of all kinds: nested, random, of several results, and twins."""
    key = jax.random.key(3)
    noise = jax.random.normal(key, x.shape, x.dtype)
    rows = [jnp.tanh(row) * 0.5 + x[0] for row in x]
    signs = [jnp.copysign(1.0, x[0, 0] * c) for c in (0.0, -0.0)]
    loop, _ = jax.lax.scan(lambda c, r: (c + jnp.sin(r), None), x[0], x)
    largest = jax.lax.cond(x[0, 0] > 0, jnp.sum, jnp.max, x)
    values, places = jax.lax.top_k(x[0], 2)
    with jax.named_scope("a"):
        named = jnp.tanh(x[1]) * 0.5 + x[0]
    total = sum(rows, named) + loop + largest + values[0] + places[1]
    return total + noise[0], signs[0] + 0 * x[0, 0], signs[1] + 0 * x[0, 0], x, 1.0


def test_values_and_derivatives_are_those_of_the_program():
    x = jnp.asarray(np.random.default_rng(0).normal(size=(4, 3)))
    closed = jax.make_jaxpr(scanned)(x)
    one, other = core.jaxpr_as_fun(closed), in_pieces(closed, True)
    values = [jax.jit(f)(x) for f in (one, other)]
    np.testing.assert_array_equal(*map(audit.flat, values))
    assert [float(values[1][i]) for i in (1, 2)] == [1.0, -1.0]
    slopes = [jax.jit(jax.jacrev(lambda x, f=f: f(x)[0]))(x) for f in (one, other)]
    np.testing.assert_allclose(*slopes, rtol=1e-14)
    many = [jax.jit(jax.vmap(f))(jnp.stack([x, -x])) for f in (one, other)]
    np.testing.assert_array_equal(*map(audit.flat, many))


def test_effects_stay_in_their_order():
    said = []

    def f(x):
        for i in range(3):
            jax.debug.callback(lambda x, i=i: said.append((i, float(x))), x + i)
            x = x * 2
        return [x]

    closed = jax.make_jaxpr(f)(1.0)
    (result,) = jax.jit(in_pieces(closed, True))(1.0)
    jax.effects_barrier()
    assert float(result) == 8 and sorted(said) == [(0, 1.0), (1, 3.0), (2, 6.0)]
