"""Training of small networks on arrays in memory, one jitted step for all seeds."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxopt_lab.core.functional import Functional
from jaxopt_lab.training import TrainState, init_state, make_train_step

Arrays = Mapping[str, np.ndarray]
Loss = Callable[[Any, Any, Any], tuple[jax.Array, Any]]


def he_normal(key: jax.Array, shape: Sequence[int], dtype: Any) -> jax.Array:
    """Normal numbers of variance 2 / inputs, drawn by NumPy.

    The program that draws many kernels by jax takes a minute to compile.

    Args:
      key: known, not traced.
      shape: of the kernel, its outputs last.
      dtype: of the numbers.

    Returns:
      The kernel.

    >>> he_normal(jax.random.key(0), (3, 3, 2, 4), "float32").shape
    (3, 3, 2, 4)
    """
    rng = np.random.default_rng(np.asarray(jax.random.key_data(key)))
    inputs = math.prod(shape[:-1])
    return jnp.asarray(rng.normal(0, (2 / inputs) ** 0.5, shape), dtype)


class Fitter:
    """Trains a network from a seed, again and again with the same program.

    Args:
      model: the network; its kernels are of ``he_normal``, drawn outside of ``jit``.
      loss: ``loss(params, model_state, batch) -> (loss, model_state)``.
      tx: the optimizer.
    """

    def __init__(
        self, model: Functional, loss: Loss, tx: optax.GradientTransformation
    ) -> None:
        def with_metrics(params: Any, state: Any, batch: Any, key: Any) -> Any:
            value, state = loss(params, state, batch)
            return value, (state, {})

        self._tx, self._init = tx, model.init
        self._step = jax.jit(make_train_step(with_metrics, tx), donate_argnums=0)

    def run(
        self,
        arrays: Arrays,
        *,
        seed: int,
        steps: int,
        batch: int,
        start: Mapping[str, Any] | None = None,
    ) -> TrainState:
        """Train from the first parameters of a seed.

        Args:
          arrays: examples along the first axes.
          seed: of the parameters and the batches.
          steps: number of batches, drawn without replacement.
          batch: examples of a batch.
          start: entries that replace those of the first parameters.

        Returns:
          The last state.
        """
        key, own = jax.random.split(jax.random.key(seed))
        params, model_state = self._init(own)
        if start is not None:
            params = {**params, **start}
        # Donated: a start that several runs share must not be.
        params = jax.tree.map(lambda leaf: leaf.copy(), params)
        state = init_state(self._tx, params, key, model_state=model_state)
        rng = np.random.default_rng([seed, 1])
        count = len(next(iter(arrays.values())))
        for _ in range(steps):
            at = rng.choice(count, batch, replace=False)
            state, _ = self._step(state, {n: a[at] for n, a in arrays.items()})
        return state


def in_batches(run: Callable[..., Any], images: np.ndarray, batch: int) -> Any:
    """The outputs of a function of many images, computed batch by batch.

    Args:
      run: jitted; a tree of arrays with examples along the first axes.
      images: as many as the batches hold.
      batch: images of a call.

    Returns:
      The tree on the host.
    """
    parts = [
        jax.device_get(run(images[i : i + batch])) for i in range(0, len(images), batch)
    ]
    return jax.tree.map(lambda *x: np.concatenate(x), *parts)
