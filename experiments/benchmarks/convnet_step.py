"""The train step of a small convolutional network, compiled for any optimizer."""

from __future__ import annotations

from typing import Any

import jax
import optax

from jaxopt_lab.lab import models
from jaxopt_lab.lab.models.configs import ConvNetConfig
from jaxopt_lab.losses import classification as losses
from jaxopt_lab.training import from_nnx, init_state, make_train_step

SHAPE = (16, 16, 3)
BATCH = 64
CLASSES = 10


def problem() -> tuple[Any, dict[str, jax.Array]]:
    """The model and a batch.

    Returns:
      ``(functional, batch)``.
    """
    build = models.MODELS["convnet"].build(ConvNetConfig(), SHAPE, CLASSES)
    image_key, label_key = jax.random.split(jax.random.key(0))
    batch = {
        "image": jax.random.normal(image_key, (BATCH, *SHAPE)),
        "label": jax.random.randint(label_key, (BATCH,), 0, CLASSES),
    }
    return from_nnx(build), batch


def compiled_step(tx: optax.GradientTransformation) -> tuple[Any, Any, Any]:
    """The train step, compiled.

    Args:
      tx: the optimizer.

    Returns:
      ``(program, TrainState, batch)``; ``program(state, batch) -> (state, metrics)``
      donates its state.
    """
    functional, batch = problem()
    params, model_state = jax.jit(functional.init)(jax.random.key(1))
    state = init_state(tx, params, jax.random.key(2), model_state)
    step = make_train_step(losses.classification_loss(functional), tx)
    program = jax.jit(step, donate_argnums=0).lower(state, batch).compile()
    return program, state, batch
