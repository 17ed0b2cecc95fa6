"""Cross-entropy of integer labels, one number per label."""

from __future__ import annotations

from typing import Annotated

import jax
import jax.numpy as jnp

from jaxopt_lab.core.numbers import known_number
from jaxopt_lab.core.options import DECAY, check_arguments
from jaxopt_lab.core.trees import accumulation_dtype
from jaxopt_lab.core.where import or_zero
from jaxopt_lab.losses.targets import check_labels, kept


def cross_entropy(
    logits: jax.Array,
    labels: jax.Array,
    label_smoothing: Annotated[float, DECAY] = 0.0,
    *,
    where: jax.Array | None = None,
) -> jax.Array:
    r"""Cross-entropy in nats, one number per label.

    With smoothing :math:`a` the target is :math:`(1 - a)` at the label plus
    :math:`a / C` on each of the :math:`C` classes:

    .. math:: -(1 - a) \log p_y - \frac{a}{C} \sum_c \log p_c.

    Args:
      logits: shape ``(..., C)``, any floating type; the logarithms are taken and
        summed in float32, in float64 where the logits are float64.
      labels: integers in ``0 .. C - 1``, shape ``(...)``. A label out of range gives
        NaN: inside ``jit`` nothing can be raised, and a clipped label would train
        on a wrong one.
      label_smoothing: ``a``, in ``[0, 1)``.
      where: shape ``(...)``; 0 drops a label: its loss and gradient are 0, whatever
        its logits are.

    Returns:
      Shape ``(...)``, float32 or float64. One array of the size of the logits is kept
      for the gradient; differentiable to any order.

    Raises:
      InputError: the shapes do not belong together, or ``labels`` are not integers.

    Source of the smoothing: Szegedy et al. 2016 (https://arxiv.org/abs/1512.00567).

    >>> float(cross_entropy(jnp.zeros((4,)), jnp.array(2)))  # log 4
    1.3862943649291992
    """
    check_labels(logits, labels, where)
    check_arguments(cross_entropy, locals())
    logits = kept(logits.astype(accumulation_dtype(logits.dtype)), where)
    log_p = jax.nn.log_softmax(logits)
    loss = -at_labels(log_p, labels)
    if known_number(label_smoothing) != 0:
        smoothing = jnp.asarray(label_smoothing, loss.dtype)
        loss = (1 - smoothing) * loss - smoothing * jnp.mean(log_p, axis=-1)
    return or_zero(loss, where)


def at_labels(values: jax.Array, labels: jax.Array) -> jax.Array:
    """The value of each label's class; NaN for labels out of range.

    Args:
      values: shape ``(..., C)``.
      labels: integers, shape ``(...)``.

    Returns:
      Shape ``(...)``.

    >>> at_labels(jnp.array([[1.0, 2.0]]), jnp.array([1])).tolist()
    [2.0]
    """
    indices = labels.astype(jnp.int32)
    # A negative index would count from the last class.
    indices = jnp.where(indices < 0, values.shape[-1], indices)
    picked = jnp.take_along_axis(values, indices[..., None], axis=-1, mode="fill")
    return picked[..., 0]
