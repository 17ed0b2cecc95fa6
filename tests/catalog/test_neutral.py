"""At its neutral element every transformation is the thing that its row names."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxopt_lab
from jaxopt_lab import catalog
from jaxopt_lab.catalog.part import loaded

ROWS = catalog.of_kind("transform")
PARAMS = {
    "w": jnp.linspace(-0.7, 0.9, 12).reshape(3, 4),
    "b": jnp.linspace(0.1, 0.4, 4),
}
BATCH = jnp.asarray(np.random.default_rng(0).normal(size=(8, 3)))


def loss(params, batch):
    return jnp.mean(jnp.sin(batch @ params["w"] + params["b"][None]) ** 2)


def inner():
    return optax.sgd(0.1, momentum=0.9)


def simpler(row):
    """The thing that the row is at its neutral element, as a whole optimizer."""
    neutral = row.reduces_to
    if neutral.equals == "inner":
        return inner()
    other = ROWS.get(neutral.equals)
    make = loaded(neutral.equals) if other is None else other.load()
    known = inspect.signature(make).parameters
    shared = {
        name: value
        for name, value in row.defaults().items()
        if name in known and name not in neutral.options
    }
    tx = make(**{**shared, **neutral.given})
    if row.role == "last link":
        return optax.chain(inner(), tx)
    return tx if row.role == "optimizer" else optax.chain(tx, inner())


def whole(row):
    options = {**row.defaults(), **row.reduces_to.options}
    if row.role == "wrapper":
        return row.load()(inner(), **options)
    tx = row.load()(**options)
    if row.role == "optimizer":
        return tx
    parts = (tx, inner()) if row.role == "link" else (inner(), tx)
    return optax.chain(*parts)


def after(tx, steps=3):
    tx = optax.with_extra_args_support(tx)
    grad_fn = jaxopt_lab.batch_grad(loss, BATCH)

    @jax.jit
    def run(params):
        state = tx.init(params)
        for _ in range(steps):
            updates, state = tx.update(grad_fn(params), state, params, grad_fn=grad_fn)
            params = optax.apply_updates(params, updates)
        return params

    return run(PARAMS)


@pytest.mark.full(plain=["sgd", "momentum", "critical_gradients"])
@pytest.mark.parametrize("name", ROWS)
def test_the_neutral_element(name):
    row = ROWS[name]
    ours, theirs = after(whole(row)), after(simpler(row))
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-12)


def test_a_wrong_neutral_element_is_seen():
    import dataclasses

    row = dataclasses.replace(
        ROWS["sam"], reduces_to=catalog.Neutral({"rho": 0.5}, "optax:identity")
    )
    ours, theirs = after(whole(row)), after(simpler(row))
    assert float(jnp.max(jnp.abs(ours["w"] - theirs["w"]))) > 1e-4
