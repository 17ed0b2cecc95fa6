"""Training of small networks on arrays in memory, one jitted step for all seeds."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxopt_lab.core.functional import Functional

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


class Fit(NamedTuple):
    """What is trained.

    Attributes:
      params: of the network.
      model_state: of the network.
      opt_state: of the optimizer.
    """

    params: Any
    model_state: Any
    opt_state: Any


def step_of(loss: Loss, tx: optax.GradientTransformation) -> Callable[[Fit, Any], Fit]:
    """``step(fit, batch) -> fit`` without a key: splitting one is slow to compile.

    Args:
      loss: ``loss(params, model_state, batch) -> (loss, model_state)``.
      tx: the optimizer.

    Returns:
      The step, not jitted.
    """

    def step(fit: Fit, batch: Any) -> Fit:
        params, model_state, opt_state = fit
        slopes = jax.grad(loss, has_aux=True)
        grads, model_state = slopes(params, model_state, batch)
        updates, opt_state = tx.update(grads, opt_state, params)
        return Fit(optax.apply_updates(params, updates), model_state, opt_state)

    return step


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
        self._init, self._start = model.init, jax.jit(tx.init)
        self._step = jax.jit(step_of(loss, tx), donate_argnums=0)

    def run(
        self,
        arrays: Arrays,
        *,
        seed: int,
        steps: int,
        batch: int,
        start: Mapping[str, Any] | None = None,
    ) -> Fit:
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
        params, model_state = self._init(jax.random.split(jax.random.key(seed))[1])
        if start is not None:
            params = {**params, **start}
        # Donated: a start that several runs share must not be.
        params, model_state = jax.tree.map(np.array, (params, model_state))
        fit = Fit(params, model_state, self._start(params))
        rng = np.random.default_rng([seed, 1])
        count = len(next(iter(arrays.values())))
        for _ in range(steps):
            at = rng.choice(count, batch, replace=False)
            fit = self._step(fit, {n: a[at] for n, a in arrays.items()})
        return fit


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
