"""Sums of gradients at several points, made in the products that give them."""

import chex
import jax
import jax.numpy as jnp
import pytest

from jaxopt_lab.core import loops
from jaxopt_lab.core.summed_gradients import can_sum, summed_gradient

M, EXAMPLES, FAN_IN, WIDTH = 4, 6, 5, 7


def points(dtype=jnp.float64):
    one, two, three = jax.random.split(jax.random.key(0), 3)
    return {
        "table": jax.random.normal(one, (M, 3, FAN_IN), dtype),
        "kernel": jax.random.normal(two, (M, FAN_IN, WIDTH), dtype),
        "square": jax.random.normal(three, (M, WIDTH, WIDTH), dtype) / 3,
    }


def items():
    one, two = jax.random.split(jax.random.key(1))
    return {
        "x": jax.random.normal(one, (M, EXAMPLES, FAN_IN)),
        "row": jax.random.randint(two, (M, EXAMPLES), 0, 3),
    }


def loss(p, item):
    """Rows of a table, a branch, and one matrix in every turn of a loop."""
    h = jax.nn.relu((item["x"] + p["table"][item["row"]]) @ p["kernel"])

    def turn(h, _):
        return jnp.tanh(h @ p["square"]), None

    h = jax.checkpoint(lambda h: jax.lax.scan(turn, h, length=3)[0])(h)
    return jax.lax.cond(jnp.sum(h) > 0, jnp.mean, lambda h: 2 * jnp.mean(h), h**2)


def one_by_one(loss, points, items):
    each = [
        jax.grad(loss)(loops.take(points, j), loops.take(items, j)) for j in range(M)
    ]
    return jax.tree.map(lambda *g: sum(g), *each)


def test_it_is_the_sum_of_the_gradients():
    ours = jax.jit(lambda p: summed_gradient(loss, p, items()))(points())
    chex.assert_trees_all_close(ours, one_by_one(loss, points(), items()), rtol=1e-12)


def test_complex_parameters():
    def loss(w, x):
        return jnp.sum(jnp.abs(x @ w) ** 2 + jnp.real(w[:1] ** 3))

    w = jax.random.normal(jax.random.key(0), (M, FAN_IN, 2), jnp.complex128)
    x = items()["x"].astype(jnp.complex128)
    ours = summed_gradient(loss, w, x)
    chex.assert_trees_all_close(ours, one_by_one(loss, w, x), rtol=1e-12)


def test_it_has_the_derivatives_of_the_sum():
    def curved(p, x):
        return jnp.mean(jnp.tanh(x @ p["kernel"]) ** 2)

    def length(sum_of):
        total = lambda p: sum_of(curved, p, items()["x"])
        return jax.grad(lambda p: jnp.sum(jnp.sin(total(p)["kernel"])))

    kernel = {"kernel": points()["kernel"]}
    ours, expected = length(summed_gradient)(kernel), length(one_by_one)(kernel)
    chex.assert_trees_all_close(ours, expected, rtol=1e-11)


@jax.custom_vjp
def doubled(x):
    return 2 * x


doubled.defvjp(lambda x: (2 * x, None), lambda _, g: (2 * g,))


@pytest.mark.parametrize(
    "change, dtype, expected",
    [
        (lambda w: w, jnp.float32, True),
        (lambda w: w, jnp.float16, False),
        (jax.jit(doubled), jnp.float32, False),
        (jax.nn.relu, jnp.float32, True),  # a custom_jvp has both derivatives
    ],
)
def test_losses_that_cannot_be_summed_are_known(change, dtype, expected):
    point = jax.ShapeDtypeStruct((FAN_IN, WIDTH), dtype)
    item = jax.ShapeDtypeStruct((EXAMPLES, FAN_IN), dtype)
    assert can_sum(lambda w, x: jnp.mean(x @ change(w)), point, item) is expected


def products(f, *args):
    """Shapes of the results of the products in a compiled program."""
    lines = jax.jit(f).lower(*args).compile().as_text().splitlines()
    found = [line.split(" = ")[1].split(" dot(") for line in lines if " dot(" in line]
    return [shape.split("{")[0] for shape, *_ in found]


def test_no_gradient_of_one_item_is_made():
    def loss(w, x):
        return jnp.mean(jnp.tanh(x @ w) ** 2)

    def naive(w, x):
        return jnp.sum(jax.vmap(jax.grad(loss))(w, x), axis=0)

    # Wide enough that XLA does not unroll the products.
    w, x = jnp.ones((M, 64, 96), jnp.float32), jnp.ones((M, 32, 64), jnp.float32)
    each = f"f32[{M},64,96]"
    assert each in products(naive, w, x)
    ours = products(lambda w, x: summed_gradient(loss, w, x), w, x)
    assert each not in ours and "f32[64,96]" in ours
