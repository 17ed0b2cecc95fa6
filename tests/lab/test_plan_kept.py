"""Residuals of a backward pass, against counts by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P

from jaxopt_lab.lab.plan import estimate
from jaxopt_lab.lab.plan.kept import kept, local_bytes
from jaxopt_lab.lab.plan.layout import Layout
from jaxopt_lab.training import make_mesh
from jaxopt_lab.training.state import TrainState

ROWS, WIDE = 8, 6


def shaped(*shape, cut=None, dtype=jnp.float32):
    mesh = make_mesh("data:2")
    spec = P() if cut is None else P(cut)
    return jax.ShapeDtypeStruct(shape, dtype, sharding=NamedSharding(mesh, spec))


X = shaped(ROWS, WIDE)
W = shaped(WIDE, WIDE)
FULL = ROWS * WIDE * 4


def total(fn, *arguments):
    return sum(r.nbytes for r in kept(fn, *arguments))


def twice(x):
    return jnp.sin(x) + jnp.cos(x)


def gram(h):
    # Not h.T @ h: a transpose is an array of its own.
    return jax.lax.dot_general(h, h, (((0,), (0,)), ((), ())))


def halves(x, w):
    return x.astype(jnp.bfloat16) @ w.astype(jnp.bfloat16)


def two_relus(a, b):
    return jax.nn.relu(a + b) * 2.0 + jax.nn.relu(a - b)


def relu_of_normalised(x):
    centred = x - jnp.mean(x, axis=-1, keepdims=True)
    return jax.nn.relu(centred * jax.lax.rsqrt(jnp.mean(centred**2, -1, keepdims=True)))


@pytest.mark.parametrize(
    "name, fn, count",
    [
        ("arguments are there already", lambda w, x: jnp.sum(jnp.sin(w)), 0),
        ("so are constants", lambda w, x: jnp.sum(w * np.ones((6, 6), np.float32)), 0),
        ("and literals", lambda w, x: jnp.sum(2.0 * (x @ w)), 0),
        ("what is made of an argument",
         lambda w, x: jnp.sum(jnp.sin(x) * (x @ w)), 0),
        ("a chain from a product keeps the product alone",
         lambda w, x: jnp.sum(jnp.tanh(jnp.sin(x @ w))), FULL),
        ("twice read is once kept",
         lambda w, x: jnp.sum(twice(x @ w)), FULL),
        ("nothing of a linear map", lambda w, x: jnp.sum(x @ w), 0),
        ("each product of a chain is stored",
         lambda w, x: jnp.sum(jnp.sin(jnp.sin(x @ w) @ w)), 3 * FULL),
        ("a product keeps both operands",
         lambda w, x: jnp.sum((x @ w) @ (w @ w)), FULL + WIDE * WIDE * 4),
        ("but once what is both", lambda w, x: jnp.sum(gram(x @ w)), FULL),
        ("one sum, not the two products that it is made of",
         lambda w, x: jnp.sum(jnp.exp(x @ w + x @ w.T)), FULL),
        ("of a relu one byte for each sign",
         lambda w, x: jnp.sum(jax.nn.relu(x @ w)), FULL // 4),
        ("and so of two sums of the same two products",
         lambda w, x: jnp.sum(two_relus(x @ w, x @ w.T)), 2 * FULL // 4),
        ("signs here, a product there",
         lambda w, x: jnp.sum(two_relus(x @ w, x @ w.T) + twice(x @ (w * w))),
         2 * FULL // 4 + FULL),
        ("a sum here, a norm's product and two numbers a row there",
         lambda w, x: jnp.sum(relu_of_normalised(x @ w) ** 2
                              + jnp.exp(x @ w.T + x @ (w * w))),
         FULL + FULL + 2 * ROWS * 4),
        ("half of a product that is read in half its width",
         lambda w, x: jnp.sum(jnp.sin((x @ w).astype(jnp.bfloat16))), FULL // 2),
        ("a product and its operand in half their width, read in full",
         lambda w, x: jnp.sum(jnp.sin(halves(x, w).astype(jnp.float32))),
         FULL // 2 + FULL // 2),
        ("a softmax and two numbers a row",
         lambda w, x: jnp.sum(jax.nn.softmax(x @ w, axis=-1) ** 2),
         FULL + 2 * ROWS * 4),
        ("nothing of the recomputed values",
         lambda w, x: jnp.sum(jax.checkpoint(lambda w: jnp.sin(x @ w) @ w)(w)), 0),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_counts_by_hand(name, fn, count):
    """Bytes of arrays as large as the product.

    In the chain of products the inner product, its sine (which a product reads, so
    that it is in memory), and the outer product.
    """
    del name
    assert total(fn, W, X) == count


def test_a_norm_and_its_relu_are_traced_back_to_the_product():
    def loss(w, x):
        return jnp.sum(relu_of_normalised(x @ w) ** 2)

    with_norm = total(loss, W, X)
    # The product, and a mean and a mean of squares of each row.
    assert with_norm == FULL + 2 * ROWS * 4
    leaves = jax.tree.leaves(
        jax.eval_shape(lambda w, x: jax.vjp(lambda w: loss(w, x), w)[1], W, X)
    )
    # The linearisation itself holds several such arrays.
    assert sum(x.size * x.dtype.itemsize for x in leaves) > 2.5 * FULL


def test_small_ones_are_kept_where_their_sources_are_larger():
    def loss(w, x):
        total_of_rows = jnp.sum(jnp.sin(x @ w), axis=-1)
        return jnp.sum(jnp.exp(jnp.sum(x, -1) * total_of_rows))

    shapes = {r.shape for r in kept(loss, W, X)}
    assert (ROWS,) in shapes and (ROWS, WIDE) in shapes


def test_a_loop_keeps_its_carry_for_every_turn():
    turns = 5

    def loss(w, x):
        def turn(h, _):
            return jnp.sin(h @ w), None

        return jnp.sum(jax.lax.scan(jax.checkpoint(turn), x, length=turns)[0])

    assert total(loss, W, X) == turns * FULL


def test_bytes_are_those_of_one_device():
    cut = shaped(ROWS, WIDE, cut="data")
    found = kept(lambda w, x: jnp.sum(jnp.sin(x @ w)), W, cut)
    assert [r.shape for r in found] == [(ROWS, WIDE)]
    assert found[0].nbytes == FULL / 2
    assert local_bytes(cut, cut.sharding) == FULL / 2
    keys = jax.eval_shape(lambda: jax.random.split(jax.random.key(0), 4))
    whole = NamedSharding(make_mesh("data:2"), P())
    assert local_bytes(keys, whole) == 4 * 8


def test_the_derivative_is_to_the_whole_first_argument_the_largest_first():
    wider = shaped(WIDE, 2 * WIDE)

    def loss(params, x):
        narrow, wide = jnp.sin(x @ params["narrow"]), jnp.sin(x @ params["wide"])
        return jnp.sum(narrow) * jnp.sum(wide)

    found = kept(loss, {"narrow": W, "wide": wider}, X)
    # And the two sums, each of which is the other's factor.
    shapes = [(ROWS, 2 * WIDE), (ROWS, WIDE), (), ()]
    assert [r.shape for r in found] == shapes
    assert [r.nbytes for r in found] == [2 * FULL, FULL, 4, 4]


def test_what_is_kept_is_enough():
    """The derivative made from what was found equals that of jax."""
    draw = np.random.default_rng(0)
    w, x = (jnp.asarray(draw.normal(size=s.shape), jnp.float32) for s in (W, X))

    def loss(product):
        return jnp.sum(relu_of_normalised(product) ** 2 + jnp.tanh(product))

    # From the product alone: it was all that is kept of full size.
    through = jax.grad(lambda w: loss(x @ w))(w)
    np.testing.assert_allclose(x.T @ jax.grad(loss)(x @ w), through, rtol=1e-4)


def test_what_is_whole_on_the_model_axis_is_counted():
    mesh = make_mesh("data:2,model:4")
    leaf = lambda *shape: jax.ShapeDtypeStruct(shape, np.float32)
    state = TrainState(leaf(), {}, {}, {"a": leaf(8, 4), "b": leaf(6), "n": leaf()}, {})
    spec = {"a": P(None, "model"), "b": P("data"), "n": P()}
    there = {k: NamedSharding(mesh, s) for k, s in spec.items()}
    storage = state._replace(opt_state=there)
    layout = Layout(mesh, state, storage, storage, None, None)
    assert estimate.whole_on(layout, "model") == 4 * 6 / 2
    assert estimate.whole_on(layout, "data") == 4 * 8
    alone = layout._replace(mesh=make_mesh("data:8"))
    assert estimate.whole_on(alone, "model") == 0
