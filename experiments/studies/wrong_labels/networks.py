"""A perceptron with an ordered or a plain layer of features, and its loss."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import optax

from experiments.studies import dense_nets
from jaxopt_lab.core.functional import Functional
from jaxopt_lab.layers import nested_dropout
from jaxopt_lab.layers.activation.nested_dropout import first_features


def features(params: Any, x: jax.Array) -> jax.Array:
    """What the linear classifier without bias, ``params["head"]``, sees.

    Args:
      params: of one of the networks.
      x: flat digits.

    Returns:
      ``(B, width)``.
    """
    return jax.nn.relu(dense_nets.dense(params["trunk"], x))


def plain(width: int, dropout: jax.Array) -> Functional:
    """A network with dropout of its features.

    Args:
      width: hidden units, and features.
      dropout: the share that is dropped, below 1.

    Returns:
      The network.
    """

    def apply(
        params: Any, state: Any, x: jax.Array, *, train: bool, key: Any = None
    ) -> tuple[jax.Array, Any]:
        found = features(params, x)
        if train:
            kept = jax.random.uniform(key, found.shape) >= dropout
            found = jnp.where(kept, found / (1 - dropout), 0)
        return found @ params["head"], state

    return Functional(lambda key: (_start(key, width), {}), apply)


def nested(width: int, scale: float) -> Functional:
    """A network with nested dropout; its state is the number of features it keeps.

    Args:
      width: hidden units, and features.
      scale: of ``nested_dropout``.

    Returns:
      The network; evaluation keeps ``state["kept"]`` features.
    """
    layer = nested_dropout(width, scale=scale)

    def init(key: jax.Array) -> tuple[Any, Any]:
        return _start(key, width), {"kept": jnp.array(width)}

    def apply(
        params: Any, state: Any, x: jax.Array, *, train: bool, key: Any = None
    ) -> tuple[jax.Array, Any]:
        found = features(params, x)
        if train:
            found, _ = layer.apply({}, {}, found, train=True, key=key)
        else:
            found = first_features(found, state["kept"])
        return found @ params["head"], state

    return Functional(init, apply)


def loss(network: Functional) -> Any:
    """The mean cross-entropy, as ``make_train_step`` takes it.

    Args:
      network: gives logits.

    Returns:
      The loss.
    """

    def of_batch(params: Any, state: Any, batch: Any, key: jax.Array, /) -> Any:
        scores, state = network.apply(
            params, state, batch["image"], train=True, key=key
        )
        losses = optax.softmax_cross_entropy_with_integer_labels(scores, batch["label"])
        return jnp.mean(losses), (state, {})

    return of_batch


def _start(key: jax.Array, width: int) -> Any:
    *trunk, last = dense_nets.dense_params(key, 64, width, width, 10)
    return {"trunk": trunk, "head": last["kernel"]}
