"""The classifier of this study, with an auxiliary head or with two branches."""

from __future__ import annotations

from typing import Any

import jax

from experiments.studies import dense_nets
from experiments.studies.few_labels.config import Config
from jaxopt_lab.core.functional import Functional
from jaxopt_lab.recipes.hybridnet import HybridOutputs


def _flat(x: jax.Array) -> jax.Array:
    return x.reshape(x.shape[0], -1)


def classifier(config: Config) -> Functional:
    """Two hidden layers, and two heads on the second: logits and auxiliary ones.

    Args:
      config: the size of the study.

    Returns:
      The network, of images.
    """
    width = config.width

    def init(key: jax.Array) -> tuple[Any, Any]:
        keys = jax.random.split(key)
        params = {
            "net": dense_nets.dense_params(keys[0], 64, width, width, 10),
            "auxiliary": dense_nets.dense_params(keys[1], width, width // 4, 10),
        }
        return params, {}

    def apply(
        params: Any, state: Any, x: jax.Array, *, train: bool, key: Any = None
    ) -> tuple[Any, Any]:
        *inner, last = params["net"]
        hidden = jax.nn.relu(dense_nets.dense(inner, _flat(x)))
        heads = [last], params["auxiliary"]
        return tuple(dense_nets.dense(head, hidden) for head in heads), state

    return Functional(init, apply)


def branches(config: Config) -> Functional:
    """The classifier, a decoder of its hidden layer, and a branch without labels.

    Args:
      config: the size of the study.

    Returns:
      The network, whose outputs are ``HybridOutputs``.
    """
    width, code = config.width, config.code

    def init(key: jax.Array) -> tuple[Any, Any]:
        keys = jax.random.split(key, 3)
        params = {
            "net": dense_nets.dense_params(keys[0], 64, width, width, 10),
            "decoder": dense_nets.dense_params(keys[1], width, width, 64),
            "other": dense_nets.dense_params(keys[2], 64, width, code, width, 64),
        }
        return params, {}

    def apply(
        params: Any, state: Any, x: jax.Array, *, train: bool, key: Any = None
    ) -> tuple[Any, Any]:
        *inner, last = params["net"]
        hidden = jax.nn.relu(dense_nets.dense(inner, _flat(x)))
        parts = (
            dense_nets.dense(params["decoder"], hidden),
            dense_nets.dense(params["other"], _flat(x)),
        )
        first, second = (part.reshape(x.shape) for part in parts)
        logits = dense_nets.dense([last], hidden)
        return HybridOutputs(logits, first, second), state

    return Functional(init, apply)
