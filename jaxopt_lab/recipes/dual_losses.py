"""Losses of classes and of attributes of which some labels are unknown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.trees import accumulation_dtype
from jaxopt_lab.core.typing import Batch
from jaxopt_lab.losses.classification import cross_entropy
from jaxopt_lab.recipes.fixmatch import check_unlabelled, labelled_share
from jaxopt_lab.recipes.roles import entries

_CLASSES, _ATTRIBUTES = "share of the class losses", "share of the attribute losses"


class DualOutputs(NamedTuple):
    """Outputs of a network of two branches.

    Attributes:
      class_features: of the branch of classes, ``(B, ...)``.
      attribute_features: of the branch of attributes, ``(B, ...)``.
      class_logits: of a linear head on the first, ``(B, C)``.
      attribute_logits: of a linear head on the second, ``(B, K)``.
      rebuilt: the input, decoded from both; of its shape.
      heads: matrices whose rows are to be orthogonal, as those of the heads.
    """

    class_features: jax.Array
    attribute_features: jax.Array
    class_logits: jax.Array
    attribute_logits: jax.Array
    rebuilt: jax.Array
    heads: Sequence[jax.Array] = ()


def with_shares(
    batch: Batch, inputs: str, label: str, attributes: str, options: Mapping[str, Any]
) -> dict[str, Any]:
    """A batch with the weights of means over known labels.

    Args:
      batch: the batch.
      inputs: entry of the inputs.
      label: entry of the classes.
      attributes: entry of the attributes; empty: none are read.
      options: of the training step, with the axis of devices if there is one.

    Returns:
      The batch with the weights. Made outside of a loss, so that parts of a batch
      count by their labels.

    Raises:
      InputError: an entry is missing.
    """
    axis = options.get("axis_name")
    x, labels = entries(batch, inputs, label)
    batch = {**batch, _CLASSES: labelled_share(x, labels, axis)}
    if attributes:
        (marks,) = entries(batch, attributes)
        batch[_ATTRIBUTES] = labelled_share(x, marks, axis)
    return batch


def class_loss(logits: jax.Array, batch: Batch, label: str) -> jax.Array:
    """Mean cross-entropy of the examples of known class.

    Args:
      logits: ``(B, C)``.
      batch: of ``with_shares``.
      label: entry of the classes.

    Returns:
      A number.

    Raises:
      InputError: the labels are no classes of the logits.
    """
    labels = batch[label]
    check_unlabelled(labels, logits.shape[-1])
    losses = cross_entropy(logits, jnp.where(labels >= 0, labels, 0))
    return _mean(losses, batch[_CLASSES])


def attribute_loss(
    logits: jax.Array, batch: Batch, attributes: str, *, opposite: bool = False
) -> jax.Array:
    """Mean binary cross-entropy of the attributes that are known.

    Args:
      logits: ``(B, K)``.
      batch: of ``with_shares``.
      attributes: entry of the attributes.
      opposite: to one minus the attributes.

    Returns:
      A number.

    Raises:
      InputError: the attributes are not of the shape of the logits.
    """
    marks = jnp.asarray(batch[attributes])
    if marks.shape != logits.shape:
        raise InputError(
            f"{attributes!r} has shape {marks.shape}; accepted: that of the attribute "
            f"logits, {logits.shape}"
        )
    logits = logits.astype(accumulation_dtype(logits.dtype))
    marks = marks.astype(logits.dtype)
    marks = 1 - marks if opposite else marks
    share = batch[_ATTRIBUTES]
    marks = jnp.where(share > 0, marks, 0)
    return _mean(jax.nn.softplus(logits) - marks * logits, share)


def mean_entropy(logits: jax.Array) -> jax.Array:
    """Mean entropy of softmax probabilities.

    Args:
      logits: ``(B, C)``.

    Returns:
      A number, float32 or float64.

    >>> round(float(mean_entropy(jnp.zeros((1, 2)))), 4)
    0.6931
    """
    log_p = jax.nn.log_softmax(logits.astype(accumulation_dtype(logits.dtype)))
    p = jnp.exp(log_p)
    # A class that is ruled out adds nothing, whatever its logarithm.
    return -jnp.mean(jnp.sum(jnp.where(p == 0, 0, p * log_p), axis=-1))


def check_outputs(out: Any, x: jax.Array) -> None:
    """Refuse other outputs than ``DualOutputs`` with inputs of their shape.

    Args:
      out: of the network.
      x: its inputs.

    Raises:
      InputError: they are others.
    """
    if not isinstance(out, DualOutputs):
        raise InputError(
            f"the network gives {type(out).__name__}; accepted: DualOutputs"
        )
    if out.rebuilt.shape != x.shape:
        raise InputError(
            f"rebuilt has shape {out.rebuilt.shape}; accepted: that of the inputs, "
            f"{x.shape}"
        )


def guesses(out: Any) -> tuple[jax.Array, jax.Array]:
    """The class and attribute logits of the adversaries.

    Args:
      out: what they give.

    Returns:
      Both.

    Raises:
      InputError: it is no pair.
    """
    if not isinstance(out, tuple) or len(out) != 2:
        raise InputError(
            f"the adversaries give {type(out).__name__}; accepted: (class logits, "
            "attribute logits)"
        )
    return out


def _mean(losses: jax.Array, share: jax.Array) -> jax.Array:
    share = share.astype(losses.dtype)
    return jnp.mean(jnp.where(share > 0, share * losses, 0))
