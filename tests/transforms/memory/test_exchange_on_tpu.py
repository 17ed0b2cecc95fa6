"""The exchange of an entry by a loop, the form for a TPU, run on CPU: equal numbers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxopt_lab
from jaxopt_lab.transforms.memory import stacked_rows

SHAPES = {"w": (4, 3), "b": (3,)}


def gradients(seed, steps=7):
    # Of such lengths that some of the entries are refused.
    draw = np.random.default_rng(seed)
    length = draw.uniform(0.1, 2, size=steps).astype(np.float32)
    return {
        name: np.einsum(
            "t,t...->t...", length, draw.normal(size=(steps, *shape))
        ).astype(np.float32)
        for name, shape in SHAPES.items()
    }


def last(tx, grads):
    params = {name: jnp.ones(shape, jnp.float32) for name, shape in SHAPES.items()}

    def step(carry, g):
        updates, state = tx.update(g, carry[1], carry[0])
        return (jax.tree.map(jnp.add, carry[0], updates), state), None

    return jax.lax.scan(step, (params, tx.init(params)), grads)[0]


@pytest.mark.parametrize(
    "name, options",
    [
        ("adam_cm", {}),
        ("sgd_cg", {"priority": "per_leaf"}),
        ("sgd_cm", {"policy": "fifo"}),
    ],
)
def test_a_loop_gives_the_numbers_of_a_selection(name, options, monkeypatch):
    tx = getattr(jaxopt_lab, name)(0.1, capacity=2, **options)
    grads = gradients(0)
    calls = []

    def run():
        return jax.jit(lambda g: last(tx, g))(grads)

    def counted(*arguments):
        calls.append(arguments)
        return by_loop(*arguments)

    by_loop = stacked_rows._by_loop
    monkeypatch.setattr(stacked_rows, "traced_for", lambda *_: "gpu")
    plain = run()
    monkeypatch.setattr(stacked_rows, "traced_for", lambda *_: "tpu")
    monkeypatch.setattr(stacked_rows, "_by_loop", counted)
    looped = run()
    assert len(calls) == (2 if options.get("priority") else 1)
    for x, y in zip(*map(jax.tree.leaves, (looped, plain)), strict=True):
        np.testing.assert_array_equal(x, y)


def exchange(entry, entries, total, accept, slot):
    return stacked_rows.exchanged(accept, slot, entry, entries, total, None)


def arrays(*front):
    draw = np.random.default_rng(1)
    made = [draw.normal(size=(*front, *shape)) for shape in ((3,), (2, 3), (3,))]
    return [jnp.asarray(x, jnp.float32) for x in made]


def test_several_buffers_share_no_loop(monkeypatch):
    monkeypatch.setattr(stacked_rows, "traced_for", lambda *_: "tpu")
    accept, slot = jnp.array([True, False, True, False]), jnp.arange(4) % 2
    given = (*arrays(4), accept, slot.astype(jnp.int32))
    mapped = jax.jit(jax.vmap(exchange))
    assert "while" not in mapped.lower(*given).as_text()
    found = mapped(*given)
    one_by_one = [exchange(*(x[i] for x in given)) for i in range(4)]
    wanted = jax.tree.map(lambda *x: jnp.stack(x), *one_by_one)
    for x, y in zip(*map(jax.tree.leaves, (found, wanted)), strict=True):
        np.testing.assert_array_equal(x, y)


@pytest.mark.parametrize("accept", [True, False])
def test_derivatives_pass_the_loop(accept, monkeypatch):
    monkeypatch.setattr(stacked_rows, "traced_for", lambda *_: "tpu")
    entry, entries, total = arrays()
    weights = arrays()

    def scalar(entry, entries, total):
        new, sums = exchange(
            entry, entries, total, jnp.array(accept), jnp.array(1, jnp.int32)
        )
        return jnp.vdot(weights[1], new) + jnp.vdot(weights[2], sums)

    found = jax.jit(jax.grad(scalar, argnums=(0, 1, 2)))(entry, entries, total)
    rows, sums = weights[1], weights[2]
    wanted = (jnp.zeros(3), rows, sums)
    if accept:
        # The entry goes into slot 1 and the sum, what was there goes out of both.
        wanted = (rows[1] + sums, jnp.stack([rows[0], -sums]), sums)
    for x, y in zip(found, wanted, strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-6)


def whole_numbers(seed, *shape):
    draw = np.random.default_rng(seed)
    return jnp.asarray(draw.integers(-4, 5, size=shape), jnp.float32)


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
@pytest.mark.parametrize("alone", [True, False])
def test_narrow_entries_are_exchanged_as_wide_ones(dtype, alone):
    # Four buffers of two slots; half of the entries are refused. Whole numbers of
    # one digit are exact in every type, and so are their derivatives.
    given = [
        whole_numbers(i, 4, *shape) for i, shape in enumerate([(3,), (2, 3), (3,)])
    ]
    weights = [whole_numbers(9, 2, 3), whole_numbers(10, 3)]
    accept, slot = jnp.array([True, False, True, False]), jnp.arange(4) % 2

    def exchange(entry, entries, total, accept, slot):
        new, total = stacked_rows.exchanged(
            accept, slot, entry, entries, total, alone=alone
        )
        return new.astype(jnp.float32), total

    def scalar(*arguments):
        pairs = zip(weights, exchange(*arguments), strict=True)
        return sum(jnp.vdot(weight, x) for weight, x in pairs)

    def everything(narrow):
        entry, entries, total = given
        entries = entries.astype(narrow)
        derivative = jax.grad(scalar, argnums=(0, 1, 2))
        forms = (exchange, derivative)
        rest = (accept, slot.astype(jnp.int32))
        return [
            [jax.vmap(f)(entry, entries, total, *rest) for f in forms],
            [
                f(*(x[i] for x in (entry, entries, total, *rest)))
                for i in (0, 1)
                for f in forms
            ],
        ]

    found, wanted = (jax.jit(everything, static_argnums=0)(d) for d in (dtype, "f4"))
    for x, y in zip(*map(jax.tree.leaves, (found, wanted)), strict=True):
        np.testing.assert_array_equal(x.astype(jnp.float32), y)
