"""Programs that train for every seed of a study, and the digits."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments.studies.study import Settings
from jaxopt_lab import batch_grad
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


def over_grid(
    run: Callable[..., Any],
    settings: Settings,
    axes: Sequence[Any],
    *data: Any,
) -> Any:
    """The results of a run for each seed at every point of a grid, in one program.

    The runs follow one after the other: for small networks that is as fast as batched
    products, which XLA compiles slowly, and the points share one compilation.

    Args:
      run: ``run(key, point, *data)``, a tree of arrays; the point is a tuple of
        scalars.
      settings: the seeds.
      axes: one-dimensional arrays: learning rates, numbers of arms.
      *data: arguments that all runs share.

    Returns:
      The tree, NumPy arrays of leading axes ``(seeds, *axes)``.
    """
    seeds = np.arange(settings.first_seed, settings.first_seed + settings.seeds)
    every = [seeds, *(_single(np.asarray(axis)) for axis in axes)]
    shape = tuple(len(axis) for axis in every)
    points = [x.reshape(-1) for x in np.meshgrid(*every, indexing="ij")]

    def program(points: Any, *data: Any) -> Any:
        one = lambda point: run(jax.random.key(point[0]), tuple(point[1:]), *data)
        return jax.lax.map(one, points)

    found = jax.device_get(jax.jit(program)([*map(jnp.asarray, points)], *data))
    unfold = lambda x: np.asarray(x).reshape(shape + np.shape(x)[1:])
    return jax.tree.map(unfold, found)


def _single(axis: np.ndarray) -> np.ndarray:
    return axis.astype(np.float32) if axis.dtype == np.float64 else axis


def over_starts(
    init: Callable[[jax.Array], Any],
    run: Callable[..., Any],
    settings: Settings,
    *data: Any,
) -> Any:
    """The results of a run for each seed, batched, from parameters that exist before.

    The draws of many arrays are compiled faster one by one than in the program.

    Args:
      init: ``init(key)``, a tree of arrays; called for each seed, not compiled as a
        whole.
      run: ``run(start, key, *data)``, a tree of arrays.
      settings: the seeds.
      *data: arguments that all seeds share.

    Returns:
      The tree, NumPy arrays with seeds along their first axes.
    """
    seeds = range(settings.first_seed, settings.first_seed + settings.seeds)
    keys = [jax.random.key(seed) for seed in seeds]
    starts = [init(jax.random.fold_in(key, 0)) for key in keys]
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *starts)

    def program(starts: Any, keys: jax.Array, *data: Any) -> Any:
        one = lambda start, key: run(start, jax.random.fold_in(key, 1), *data)
        return jax.vmap(one)(starts, keys)

    found = jax.device_get(jax.jit(program)(stacked, jnp.stack(keys), *data))
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


def epochs(key: jax.Array, steps: int, batch: int, examples: int) -> jax.Array:
    """Places of the examples of every batch, in a fresh order for each epoch.

    Args:
      key: PRNG key.
      steps: number of batches.
      batch: examples of a batch.
      examples: of the set; what an epoch leaves of whole batches is dropped.

    Returns:
      int32, ``(steps, batch)``.
    """
    each = examples // batch
    keys = jax.random.split(key, -(-steps // each))
    order = lambda key: jax.random.permutation(key, examples)[: each * batch]
    # One after the other: a sort of a batch is compiled slowly.
    whole = jax.lax.map(order, keys)
    return whole.reshape(-1, batch)[:steps]


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
      tx: the optimizer; links see the gradient of the batch elsewhere.
      params: at the start.
      batches: tree of arrays with an axis of steps.

    Returns:
      The parameters, and the loss before every step, ``(steps,)``.
    """

    update = optax.with_extra_args_support(tx).update

    def step(carry: Any, batch: Any) -> Any:
        params, state = carry
        value, grads = jax.value_and_grad(loss)(params, batch)
        grad_fn = batch_grad(loss, batch)
        updates, state = update(grads, state, params, grad_fn=grad_fn)
        return (optax.apply_updates(params, updates), state), value

    (params, _), losses = jax.lax.scan(step, (params, tx.init(params)), batches)
    return params, losses


def at_rates(
    loss: Callable[[Any, Any], jax.Array],
    params: Any,
    batches: Any,
    rates: tuple[float, ...],
    value: Callable[[Any], Any],
    optimizer: Callable[[Any], optax.GradientTransformation] = optax.adam,
) -> Any:
    """Values of parameters that are trained at every learning rate.

    Args:
      loss: of ``trained``.
      params: at the start.
      batches: of ``trained``.
      rates: learning rates.
      value: ``value(params)``, a tree of arrays.
      optimizer: of a learning rate.

    Returns:
      The tree, with an axis of rates first.
    """

    def of(rate: jax.Array) -> Any:
        return value(trained(loss, optimizer(rate), params, batches)[0])

    return jax.vmap(of)(jnp.asarray(rates))


def trained_with_state(
    loss: Callable[[Any, Any, Any], tuple[jax.Array, Any]],
    tx: optax.GradientTransformation,
    params: Any,
    state: Any,
    batches: Any,
) -> tuple[Any, Any]:
    """Parameters and state of a loss after one step for each batch.

    Args:
      loss: ``loss(params, state, batch) -> (value, state)``.
      tx: the optimizer.
      params: at the start.
      state: of the loss, likewise.
      batches: tree of arrays with an axis of steps.

    Returns:
      Both.
    """

    def step(carry: Any, batch: Any) -> Any:
        params, state, opt_state = carry
        grads, state = jax.grad(loss, has_aux=True)(params, state, batch)
        updates, opt_state = tx.update(grads, opt_state, params)
        return (optax.apply_updates(params, updates), state, opt_state), None

    carry = params, state, tx.init(params)
    (params, state, _), _ = jax.lax.scan(step, carry, batches)
    return params, state
