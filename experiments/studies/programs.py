"""Programs that train small networks for every seed of a study."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments.studies.study import Settings
from jaxopt_lab.data import load_digits


class Labelled(NamedTuple):
    """Examples with their labels.

    Attributes:
      inputs: float32, ``(examples, 64)`` of digits, from 0 to 1.
      labels: int32, ``(examples,)``.
    """

    inputs: jax.Array
    labels: jax.Array


def digits() -> tuple[Labelled, Labelled]:
    """The flat digits for training and for the test."""
    data = load_digits()
    train, test = (
        Labelled(
            jnp.asarray(part["image"], jnp.float32).reshape(-1, 64),
            jnp.asarray(part["label"], jnp.int32),
        )
        for part in (data.train, data.test)
    )
    return train, test


def over_seeds(
    run: Callable[..., Any],
    settings: Settings,
    *data: Any,
    loop: bool = False,
    own: Any = None,
) -> Any:
    """The results of a run for each seed, in one program.

    Args:
      run: ``run(key, *data)``, a tree of arrays; ``run(key, own, *data)`` where seeds
        have data of their own.
      settings: the seeds.
      *data: arguments that all seeds share: constants of a program are compiled slowly.
      loop: one seed after the other; ``False``: batched over them.
      own: data of each seed, a tree of arrays with seeds along their first axes.

    Returns:
      The tree, NumPy arrays with seeds along their first axes.
    """
    seeds = jnp.arange(settings.first_seed, settings.first_seed + settings.seeds)

    def program(each: Any, *data: Any) -> Any:
        def one(each: Any) -> Any:
            seed, *mine = each
            return run(jax.random.key(seed), *mine, *data)

        return jax.lax.map(one, each) if loop else jax.vmap(one)(each)

    each = (seeds,) if own is None else (seeds, own)
    found = jax.device_get(jax.jit(program)(each, *data))
    return jax.tree.map(np.asarray, found)


def picks(key: jax.Array, steps: int, batch: int, examples: int) -> jax.Array:
    """Places of the examples of every batch, drawn with replacement.

    Args:
      key: PRNG key.
      steps: number of batches.
      batch: examples of a batch.
      examples: of the set.

    Returns:
      int32, ``(steps, batch)``.
    """
    return jax.random.randint(key, (steps, batch), 0, examples)


def trained(
    loss: Callable[[Any, Any], jax.Array],
    tx: optax.GradientTransformation,
    params: Any,
    batches: Any,
) -> tuple[Any, jax.Array]:
    """Parameters after one step for each batch.

    Args:
      loss: ``loss(params, batch)``, a scalar; ``batch`` is ``batches`` without its
        leading axis. Without convolutions, which are slow in a loop on a CPU.
      tx: the optimizer.
      params: at the start.
      batches: tree of arrays with an axis of steps.

    Returns:
      The parameters, and the loss before every step, ``(steps,)``.
    """

    def step(carry: Any, batch: Any) -> Any:
        params, state = carry
        value, grads = jax.value_and_grad(loss)(params, batch)
        updates, state = tx.update(grads, state, params)
        return (optax.apply_updates(params, updates), state), value

    (params, _), losses = jax.lax.scan(step, (params, tx.init(params)), batches)
    return params, losses


def accuracy(scores: jax.Array, labels: jax.Array) -> jax.Array:
    """The part of the examples whose largest score is that of their label.

    Args:
      scores: ``(..., examples, classes)``.
      labels: ``(..., examples)``.

    Returns:
      float32, ``(...)``.
    """
    right = jnp.argmax(scores, axis=-1) == labels
    return jnp.mean(right, axis=-1, dtype=jnp.float32)


def dense_params(key: jax.Array, *sizes: int) -> list[dict[str, jax.Array]]:
    """He's normal kernels, not truncated, and zero biases of dense layers.

    Args:
      key: PRNG key.
      *sizes: units of the input and of every layer.

    Returns:
      A kernel and a bias a layer.
    """
    keys = jax.random.split(key, len(sizes) - 1)
    return [
        {
            "kernel": jax.random.normal(k, (a, b)) * (2 / a) ** 0.5,
            "bias": jnp.zeros(b),
        }
        for k, a, b in zip(keys, sizes[:-1], sizes[1:], strict=True)
    ]


def dense(params: list[dict[str, jax.Array]], x: jax.Array) -> jax.Array:
    """Dense layers with ReLU between them.

    Args:
      params: of ``dense_params``.
      x: ``(..., inputs)``.

    Returns:
      ``(..., outputs)``.
    """
    for i, layer in enumerate(params):
        x = x @ layer["kernel"] + layer["bias"]
        x = jax.nn.relu(x) if i + 1 < len(params) else x
    return x
