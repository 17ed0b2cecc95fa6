"""Small convolutional networks as trees of arrays, and their training."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import jax
import numpy as np
import optax

from jaxopt_lab.layers import masked_conv

Params = dict[str, Any]


def new_conv(
    rng: np.random.Generator, side: int, inputs: int, outputs: int, scale: float = 1.0
) -> Params:
    """He's normal kernel of a convolution, times a scale, and a bias of zeros."""
    kernel = rng.normal(
        0, np.sqrt(2 / (side * side * inputs)), (side, side, inputs, outputs)
    )
    bias = np.zeros(outputs, np.float32)
    return {"kernel": (scale * kernel).astype(np.float32), "bias": bias}


def conv(params: Params, x: jax.Array, **options: Any) -> jax.Array:
    """The convolution; options are those of ``masked_conv``."""
    bias = params["bias"][None, None, None]
    return masked_conv(x, params["kernel"], **options) + bias


def new_block(rng: np.random.Generator, width: int) -> Params:
    """Two convolutions 3 x 3 of a residual block."""
    return {name: new_conv(rng, 3, width, width) for name in ("one", "two")}


def block(params: Params, x: jax.Array) -> jax.Array:
    """``x + conv(relu(conv(x)))``."""
    return x + conv(params["two"], jax.nn.relu(conv(params["one"], x)))


def count(params: Params) -> int:
    """Number of the parameters."""
    return sum(np.size(x) for x in jax.tree.leaves(params))


def trainer(
    loss: Callable[..., jax.Array], tx: optax.GradientTransformation
) -> Callable[[Params, Iterable[Any]], Any]:
    """``train(params, batches) -> params``, compiled once for all calls.

    Args:
      loss: ``loss(params, *batch)``, a scalar.
      tx: the optimizer.

    Returns:
      The function; it steps from Python, since a convolution in a loop of XLA is slow
      on a CPU.
    """

    @jax.jit
    def step(params: Any, state: Any, batch: Any) -> tuple[Any, Any]:
        updates, state = tx.update(jax.grad(loss)(params, *batch), state, params)
        return optax.apply_updates(params, updates), state

    def train(params: Params, batches: Iterable[Any]) -> Any:
        state = tx.init(params)
        for batch in batches:
            params, state = step(params, state, batch)
        return params

    return train


def cosine(rate: float, steps: int) -> optax.GradientTransformation:
    """Adam (AMSGrad) with a rate that falls to 0, and clipped gradients."""
    schedule = optax.cosine_decay_schedule(rate, steps)
    # Of one vector: an update of every array by itself takes long to compile.
    tx = optax.chain(optax.clip_by_global_norm(0.5), optax.amsgrad(schedule))
    return optax.flatten(tx)
