"""Age of the entries of a buffer, and length of an optimizer's steps."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from experiments.studies.critical_momenta import networks
from experiments.studies.critical_momenta.config import Config
from experiments.studies.critical_momenta.methods import Row
from jaxopt_lab.data import load_digits
from jaxopt_lab.losses import classification as losses
from jaxopt_lab.transforms.memory import PriorityBuffer

RATE = 1e-3


class Course(NamedTuple):
    """Measurements at each step, shape ``(steps,)``.

    Attributes:
      age: mean age of the entries in use, in steps; NaN without a buffer.
      update: norm of the change of the parameters.
      loss: loss of the batch.
    """

    age: np.ndarray
    update: np.ndarray
    loss: np.ndarray


def mean_age(opt_state: Any) -> jax.Array:
    """Mean age of the entries of the buffer in an optimizer's state.

    Args:
      opt_state: the state.

    Returns:
      Scalar, in steps; NaN where there is no buffer, or nothing in it.
    """
    is_buffer = lambda x: isinstance(x, PriorityBuffer)
    leaves = jax.tree.leaves(opt_state, is_leaf=is_buffer)
    buffers = [x for x in leaves if is_buffer(x)]
    if not buffers:
        return jnp.array(jnp.nan, jnp.float32)
    ages, size = buffers[0].ages, buffers[0].size
    used = jnp.arange(ages.shape[0]) < size
    total = jnp.sum(jnp.where(used, ages, 0)).astype(jnp.float32)
    return jnp.where(size > 0, total / jnp.maximum(size, 1), jnp.nan)


def course(row: Row, config: Config) -> Course:
    """Train a small network on digits and watch the buffer.

    Args:
      row: the optimizer, at the step size ``RATE``.
      config: steps and sizes.

    Returns:
      The measurements.
    """
    dataset = load_digits()
    model = networks.dense(config.stream_width, dataset.input_shape)
    rng = np.random.default_rng(0)
    count = len(dataset.train["label"])
    chosen = rng.integers(0, count, (config.buffer_steps, config.batch_size))
    batches = {
        name: jnp.asarray(values[chosen]) for name, values in dataset.train.items()
    }

    def run(batches: Any) -> Any:
        loss_fn = losses.classification_loss(model)
        tx = row.make(RATE)
        key = jax.random.key(0)
        return networks.follow(model, loss_fn, tx, key, batches, mean_age)[1]

    seen = jax.jit(run)(batches)
    return Course(*(np.asarray(seen[n]) for n in ("watched", "update", "loss")))
