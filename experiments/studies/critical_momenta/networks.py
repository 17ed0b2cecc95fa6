"""Networks, and a run over a fixed sequence of batches."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import optax

from jaxopt_lab.core import trees
from jaxopt_lab.core.typing import Batch, TrainLossFn
from jaxopt_lab.lab import models
from jaxopt_lab.lab.models.configs import LSTMConfig, MLPConfig
from jaxopt_lab.training import Functional, from_nnx, init_state, make_train_step


def dense(width: int, shape: tuple[int, ...]) -> Functional:
    """A network of two hidden layers.

    Args:
      width: units of each.
      shape: of an image, with its channels.

    Returns:
      The model.
    """
    build = models.MODELS["mlp"].build(MLPConfig(width=width, depth=2), shape, 10)
    return from_nnx(build)


def language(width: int, context: int, tokens: int) -> Functional:
    """A language model of one LSTM layer.

    Args:
      width: its units.
      context: characters in an example.
      tokens: distinct characters.

    Returns:
      The model.
    """
    config = LSTMConfig(width=width, depth=1)
    return from_nnx(models.MODELS["lstm"].build(config, (context,), tokens))


def follow(
    model: Functional,
    loss_fn: TrainLossFn,
    tx: optax.GradientTransformation,
    key: jax.Array,
    batches: Batch,
    watch: Callable[[Any], Any] | None = None,
) -> tuple[Any, dict[str, Any]]:
    """Take one step on each batch in turn; pure, to be jitted and mapped over.

    Args:
      model: the network.
      loss_fn: its loss.
      tx: the optimizer.
      key: typed key of initial weights and training.
      batches: stacked, with a leading axis of steps.
      watch: ``watch(opt_state) -> tree``, kept of every step too.

    Returns:
      The last state; and for every step ``loss`` and ``accuracy`` of the batch before
      the step, ``update``, the norm of the change of the parameters, and ``watched``.
    """
    init_key, step_key = jax.random.split(key)
    params, model_state = model.init(init_key)
    step = make_train_step(loss_fn, tx)

    def take(state: Any, batch: Batch) -> tuple[Any, dict[str, Any]]:
        new, metrics = step(state, batch)
        change = jax.tree.map(lambda a, b: a - b, new.params, state.params)
        kept = {
            "loss": metrics["loss"],
            "accuracy": metrics["accuracy"],
            "update": trees.global_norm(change),
        }
        if watch is not None:
            kept["watched"] = watch(new.opt_state)
        return new, kept

    state = init_state(tx, params, step_key, model_state)
    return jax.lax.scan(take, state, batches)
