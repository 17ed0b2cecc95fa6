"""Steps of a composer's own loop."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import optax

import jaxopt_lab
from battery.transform import problems

Tree = Any
STEPS = 3


def step(
    tx: Any, params: Tree, state: Tree, batch: Tree, loss: Any = problems.product
) -> tuple[Tree, Tree, Tree]:
    """``(params, state, updates)`` after one step of a composer's own loop."""
    grad_fn = jaxopt_lab.batch_grad(loss, batch)
    (value, _), grads = grad_fn.value_and_grad(params)
    updates, state = tx.update(grads, state, params, grad_fn=grad_fn, value=value)
    return optax.apply_updates(params, updates), state, updates


def repeat(
    body: Callable[[Tree, Any], tuple[Tree, Any]], carry: Tree, over: Any
) -> tuple[Tree, Any]:
    """``jax.lax.scan``; unrolled where the types of the carry change.

    A method whose state changes its type is reported by the checks that are about it.
    """
    try:
        return jax.lax.scan(body, carry, over)
    except TypeError as error:
        if "carry" not in str(error):
            raise
    found = []
    for i in range(len(jax.tree.leaves(over)[0])):
        carry, out = body(carry, jax.tree.map(lambda x, i=i: x[i], over))
        found.append(out)
    return carry, jax.tree.map(lambda *x: jax.numpy.stack(x), *found)


def path(
    tx: Any, params: Tree, batch: Tree, steps: int, loss: Any = problems.product
) -> tuple[Tree, Tree]:
    """``(params, state)`` after each of some steps from a fresh state, stacked."""

    def body(carry: Tree, _: Any) -> Any:
        after = step(tx, *carry, batch, loss)[:2]
        return after, after

    count = jax.numpy.arange(steps)
    return repeat(body, (params, tx.init(params)), count)[1]


def run(
    tx: Any, params: Tree, batch: Tree, steps: int, loss: Any = problems.product
) -> tuple[Tree, Tree]:
    """``(params, state)`` after some steps from a fresh state."""

    def body(carry: Tree, _: Any) -> Any:
        return step(tx, *carry, batch, loss)[:2], None

    count = jax.numpy.arange(steps)
    return repeat(body, (params, tx.init(params)), count)[0]


def train_loss(loss: Any) -> Any:
    """A loss as ``make_train_step`` wants it."""
    return lambda params, state, batch, key: (loss(params, batch), (state, {}))
