"""Programs whose bytes and operations are counted, compiled as programs usually are."""

from __future__ import annotations

import functools
from typing import Any

import jax
import numpy as np
import optax

import jaxopt_lab
from battery.transform import problems
from battery.transform.loops import Tree, train_loss
from jaxopt_lab.core import trees
from jaxopt_lab.training import init_state, make_train_step


def temp_bytes(tx: Any) -> float:
    """Bytes of temporaries of one donated update, per parameter."""
    params, batch = problems.network(problems.SIZES, 4, np.float32)
    grads = jax.eval_shape(jax.grad(problems.perceptron), params, batch)
    tx = optax.with_extra_args_support(tx)

    def update(params: Tree, state: Tree, grads: Tree, batch: Tree) -> Any:
        grad_fn = jaxopt_lab.batch_grad(problems.perceptron, batch)
        updates, state = tx.update(grads, state, params, grad_fn=grad_fn)
        return optax.apply_updates(params, updates), state

    state = jax.eval_shape(tx.init, params)
    fn = jax.jit(update, donate_argnums=(0, 1))
    memory = fn.lower(params, state, grads, batch).compile().memory_analysis()
    return memory.temp_size_in_bytes / trees.count(params)


def flops(tx: Any) -> float:
    """Floating-point operations of one train step."""
    params, batch = problems.network(problems.SIZES, 1024, np.float32)
    start = lambda params: init_state(tx, params, jax.random.key(0))
    state = jax.eval_shape(start, params)
    fn = jax.jit(make_train_step(train_loss(problems.perceptron), tx))
    return fn.lower(state, batch).compile().cost_analysis()["flops"]


@functools.cache
def plain_flops() -> float:
    """Those of a step of plain gradient descent."""
    return flops(optax.sgd(0.1))
