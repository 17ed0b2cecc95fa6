"""Losses of integer labels, for probabilities of the classes too."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jaxopt_lab.core.trees import is_floating


def with_soft_labels(
    loss: Callable[..., jax.Array],
) -> Callable[..., jax.Array]:
    r"""A loss of integer labels that takes probabilities of the classes too.

    The loss of probabilities :math:`q` is the expected loss of a label drawn from them:

    .. math:: L(z, q) = \sum_c q_c \, L(z, c),

    for the cross-entropy the usual one, :math:`-\sum_c q_c \log p_c`.

    Args:
      loss: ``loss(logits, labels, ...)``, a number for each integer label.

    Returns:
      ``loss(logits, labels, ...)``: labels of the logits' shape ``(..., C)`` and of a
      floating type are probabilities; all others go to ``loss`` as they are. A class of
      probability 0 counts nothing, an infinite loss included. Kept for the gradient:
      one array of the size of the logits more.

    >>> from jaxopt_lab.losses.cross_entropy import cross_entropy
    >>> soft = with_soft_labels(cross_entropy)
    >>> soft(jnp.zeros((1, 2)), jnp.array([[0.5, 0.5]])).round(3).tolist()
    [0.6930000185966492]
    """

    def extended(
        logits: jax.Array, labels: jax.Array, *arguments: Any, **options: Any
    ) -> jax.Array:
        if not is_floating(labels) or labels.shape != logits.shape:
            return loss(logits, labels, *arguments, **options)
        shape = labels.shape[:-1]

        def one(label: jax.Array) -> jax.Array:
            same = jnp.broadcast_to(label, shape)
            return loss(logits, same, *arguments, **options)

        classes = jnp.arange(labels.shape[-1], dtype=jnp.int32)
        each = jax.vmap(one, out_axes=-1)(classes)
        share = labels.astype(each.dtype)
        # 0 times an infinite loss is NaN, in the gradient too.
        return jnp.sum(share * jnp.where(share == 0, 0, each), axis=-1)

    return extended
