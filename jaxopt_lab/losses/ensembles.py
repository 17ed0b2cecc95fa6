"""Diversity of an ensemble's members, and a loss that rewards or punishes it."""
# Its examples wait for pytest --full.

from __future__ import annotations

from typing import Annotated, Literal

import jax
import jax.numpy as jnp

from jaxopt_lab.core.divergences import jensen_shannon_divergence
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.options import Interval, check_arguments
from jaxopt_lab.core.trees import accumulation_dtype
from jaxopt_lab.core.where import or_zero
from jaxopt_lab.losses.cross_entropy import at_labels
from jaxopt_lab.losses.targets import (
    check_floats,
    check_labels,
    refuse_out_of_range,
)

Diversity = Literal["jensen", "variance", "js", "kl"]
_ANY = Interval(float("-inf"))


def ensemble_diversity(
    logits: jax.Array,
    labels: jax.Array | None = None,
    *,
    kind: Diversity = "jensen",
    where: jax.Array | None = None,
) -> jax.Array:
    r"""Disagreement of the members of an ensemble, one number an example.

    With the members' softmaxes :math:`p_m` and their mean :math:`\bar p`,

    .. math::
        \text{jensen:}\quad & \overline{-\log p_m(y)} + \log \bar p(y) \\
        \text{variance:}\quad & \textstyle\sum_c \overline{(p_m(c) - \bar p(c))^2} \\
        \text{js:}\quad & H(\bar p) - \overline{H(p_m)} \\
        \text{kl:}\quad & \overline{KL(\bar p \,\|\, p_m)},

    each at least 0, and 0 for members that agree; ``js`` is the mutual information of
    member and label.

    Args:
      logits: ``(B, M, C)``, M members: ``vmap(..., out_axes=1)`` over them.
      labels: integers ``(B,)``; for ``"jensen"`` alone.
      kind: ``"jensen"``, ``"variance"``, ``"js"`` or ``"kl"``.
      where: ``(B,)``; 0 drops an example.

    Returns:
      Shape ``(B,)``, float32 or float64. Kept for the gradient: a few arrays of the
      size of the logits.

    Raises:
      InputError: shapes that do not belong together, a label out of range, or
        ``"jensen"`` without labels.

    >>> z = jnp.array([[[0.0, 9.0], [9.0, 0.0]]])
    >>> f"{ensemble_diversity(z, kind='js')[0]:.2f}"  # nearly log 2
    '0.69'
    """
    check_arguments(ensemble_diversity, {"kind": kind})
    log_p = _members(logits, where)
    if kind == "jensen":
        if labels is None:
            raise InputError("the diversity 'jensen' needs labels; got none")
        _check_labels(logits, labels, where)
        own = at_labels(log_p, jnp.broadcast_to(labels[:, None], log_p.shape[:2]))
        found = _log_mean(own[..., None])[..., 0] - jnp.mean(own, axis=1)
    elif kind == "variance":
        p = jnp.exp(log_p)
        apart = p - jnp.mean(p, axis=1, keepdims=True)
        found = jnp.sum(jnp.mean(jnp.square(apart), axis=1), axis=-1)
    elif kind == "js":
        found = jensen_shannon_divergence(log_p)
    else:
        mean = _log_mean(log_p)[:, None]
        p = jnp.exp(mean)
        each = jnp.where(p == 0, 0, p * (mean - log_p))
        found = jnp.mean(jnp.sum(each, axis=-1), axis=1)
    return or_zero(found, where)


def ensemble_cross_entropy(
    members: jax.Array,
    labels: jax.Array,
    *,
    gamma: Annotated[float, _ANY] = 0.0,
    diversity: Diversity = "jensen",
    where: jax.Array | None = None,
) -> jax.Array:
    r"""Mean cross-entropy of an ensemble's members less their diversity.

    .. math:: \overline{-\log p_m(y)} - \gamma D.

    :math:`\gamma > 0` rewards diversity, :math:`\gamma < 0` punishes it, 0 trains the
    members alone. With the Jensen gap, 1 is the cross-entropy of the mean prediction.

    Args:
      members: logits ``(B, M, C)`` of the M members.
      labels: integers ``(B,)``; one out of range gives NaN.
      gamma: :math:`\gamma`, any number; above 1 the loss has no lower bound.
      diversity: D, the kind of ``ensemble_diversity``.
      where: ``(B,)``; 0 drops an example.

    Returns:
      Shape ``(B,)``, float32 or float64.

    Raises:
      InputError: as of ``ensemble_diversity``.

    Cost: linear in the members' logits, about two arrays of whose size are kept for
    the gradient.

    Source: Abe et al., "Pathologies of Predictive Diversity in Deep Ensembles", 2023
    (https://arxiv.org/abs/2302.00704), from the text: its code has no such loss.

    >>> z = jnp.array([[[0.0, 9.0], [9.0, 0.0]]])
    >>> alone, jointly = (
    ...     ensemble_cross_entropy(z, jnp.array([0]), gamma=g)[0] for g in (0.0, 1.0)
    ... )
    >>> f"{alone:.2f} {jointly:.2f}"
    '4.50 0.69'
    """
    check_arguments(ensemble_cross_entropy, {"gamma": gamma, "diversity": diversity})
    _check_labels(members, labels, where)
    log_p = _members(members, where)
    every = jnp.broadcast_to(labels[:, None], log_p.shape[:2])
    losses = -jnp.mean(at_labels(log_p, every), axis=1)
    apart = ensemble_diversity(members, labels, kind=diversity, where=where)
    losses = losses - jnp.asarray(gamma, losses.dtype) * apart
    return or_zero(losses, where)


def mean_prediction_cross_entropy(logits: jax.Array, labels: jax.Array) -> jax.Array:
    """Cross-entropy of the members' mean probabilities.

    Args:
      logits: ``(B, M, C)``.
      labels: integers ``(B,)``.

    Returns:
      Shape ``(B,)``.

    >>> z = jnp.array([[[0.0, 9.0], [9.0, 0.0]]])
    >>> f"{mean_prediction_cross_entropy(z, jnp.array([0]))[0]:.2f}"
    '0.69'
    """
    return -at_labels(_log_mean(_members(logits, None)), labels)


def _members(logits: jax.Array, where: jax.Array | None) -> jax.Array:
    """Logarithms of the members' probabilities."""
    check_floats("logits", logits, 3)
    z = logits.astype(accumulation_dtype(logits.dtype))
    if where is not None:
        if where.shape != logits.shape[:1]:
            raise InputError(
                f"where must have shape {logits.shape[:1]}; got {where.shape}"
            )
        z = or_zero(z, where)
    return jax.nn.log_softmax(z)


def _log_mean(log_p: jax.Array) -> jax.Array:
    """Logarithm of the mean over members."""
    members = jnp.asarray(log_p.shape[1], log_p.dtype)
    return jax.nn.logsumexp(log_p, axis=1) - jnp.log(members)


def _check_labels(
    logits: jax.Array, labels: jax.Array, where: jax.Array | None
) -> None:
    check_floats("logits", logits, 3)
    check_labels(logits[:, 0], labels, where)
    refuse_out_of_range(labels, logits.shape[-1], where, of="classes of the logits")
