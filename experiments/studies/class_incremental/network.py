"""Digits by class, and the network of all arms."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments.studies.class_incremental.config import NEW, TASKS, Config
from experiments.studies.dense_nets import dense_params
from experiments.studies.programs import Labelled, picks
from jaxopt_lab.core.functional import Functional
from jaxopt_lab.core.typing import Batch
from jaxopt_lab.layers import imprint_proxies, local_similarity
from jaxopt_lab.recipes import PodOutputs

CLASSES = TASKS * NEW
_HIDDEN = -1e4
"""Logit of a class that has not been seen."""

SEGMENTS = "1110111 0010010 1011101 1011011 0111010 1101011 1101111 1010010 1111111"
ATTRIBUTES = np.array(
    [[float(c) for c in code] for code in f"{SEGMENTS} 1111011".split()], np.float32
)
"""The lit segments of a display for each digit, ``(10, 7)``."""


def by_class(data: Labelled) -> np.ndarray:
    """As many examples of every class.

    Args:
      data: inputs and labels.

    Returns:
      ``(classes, examples, pixels)``.
    """
    inputs, labels = (np.asarray(x) for x in data)
    each = [inputs[labels == c] for c in range(CLASSES)]
    least = min(map(len, each))
    return np.stack([x[:least] for x in each])


def seen(task: jax.Array | int) -> jax.Array:
    """1 for the classes of a task and of those before, 0 for the others."""
    return (jnp.arange(CLASSES) < NEW * (task + 1)).astype(jnp.float32)


def batches(
    key: jax.Array, train: jax.Array, task: jax.Array | int, config: Config
) -> Batch:
    """All batches of a task.

    Args:
      key: PRNG key.
      train: ``(classes, examples, pixels)``.
      task: its number.
      config: the size of the study.

    Returns:
      ``"image"`` and ``"label"``, with a leading axis of steps.
    """
    count = train.shape[1]
    rows = picks(key, config.steps, config.batch, NEW * count)
    label = NEW * task + rows // count
    return {"image": train[label, rows % count], "label": label}


def init(key: jax.Array, config: Config) -> Any:
    """Parameters of the body, of a linear classifier and of proxies."""
    keys = jax.random.split(key, 3)
    size, shape = config.features, (CLASSES, config.proxies, config.features)
    return {
        "body": dense_params(keys[0], 64, config.width, size),
        "head": dense_params(keys[1], size, CLASSES)[0],
        "proxies": jax.random.normal(keys[2], shape),
        "scale": jnp.ones(()),
    }


def body(params: Any, x: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The hidden layer before its rectifier, and the features."""
    first, second = params["body"]
    hidden = x @ first["kernel"] + first["bias"]
    features = jax.nn.relu(hidden) @ second["kernel"] + second["bias"]
    return hidden, features


def apply(
    params: Any, state: Any, x: jax.Array, *, train: bool, key: Any = None
) -> tuple[PodOutputs, Any]:
    """Similarities to proxies; ``state["seen"]`` hides the other classes."""
    del train, key
    hidden, features = body(params, x)
    logits = local_similarity(features, params["proxies"])
    logits = jnp.where(state["seen"][None] > 0, logits, _HIDDEN)
    maps = [hidden[:, None, None]]
    return PodOutputs(logits, features, maps, params["scale"]), state


def apply_linear(
    params: Any, state: Any, x: jax.Array, *, train: bool, key: Any = None
) -> tuple[jax.Array, Any]:
    """Logits of the linear classifier, otherwise as ``apply``."""
    del train, key
    logits = body(params, x)[1] @ params["head"]["kernel"] + params["head"]["bias"]
    return jnp.where(state["seen"][None] > 0, logits, _HIDDEN), state


def networks(config: Config) -> tuple[Functional, Functional]:
    """The network with proxies, and that with a linear classifier."""
    start = lambda key: (init(key, config), {})
    return Functional(start, apply), Functional(start, apply_linear)


def optimizer(config: Config) -> optax.GradientTransformation:
    """That of PODNet's paper."""
    rate = optax.cosine_decay_schedule(config.rate, config.steps)
    return optax.chain(optax.clip(5.0), optax.sgd(rate, momentum=0.9))


def imprinted(
    key: jax.Array,
    params: Any,
    train: jax.Array,
    task: jax.Array | int,
    config: Config,
) -> Any:
    """Parameters whose proxies of a task's classes start from their features."""
    features = [
        body(params, train[NEW * task + i, : config.imprint])[1] for i in range(NEW)
    ]
    new = imprint_proxies(key, features, proxies=config.proxies, like=params["proxies"])
    new = new.astype(params["proxies"].dtype)
    at = NEW * task, 0, 0
    both = jax.lax.dynamic_update_slice(params["proxies"], new, at)
    return {**params, "proxies": both}
