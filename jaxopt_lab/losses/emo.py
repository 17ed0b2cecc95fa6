"""Earth mover's distance of language models, beside the cross-entropy."""
# Its examples wait for pytest --full.

from __future__ import annotations

from typing import Annotated, Literal

import jax
import jax.numpy as jnp

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.labels import is_class
from jaxopt_lab.core.options import UNIT, check_arguments
from jaxopt_lab.core.trees import accumulation_dtype
from jaxopt_lab.core.where import or_zero
from jaxopt_lab.losses.cross_entropy import cross_entropy
from jaxopt_lab.losses.targets import check_real, kept, refuse_out_of_range

Form = Literal["plain", "adaptive", "adaptive_distance"]
_EPS = 1e-10


def emo(
    logits: jax.Array,
    labels: jax.Array,
    *,
    embedding: jax.Array,
    where: jax.Array | None = None,
    form: Form = "plain",
    share: Annotated[float, UNIT] = 0.5,
) -> jax.Array:
    r"""Cross-entropy mixed with the earth mover's distance to the label, per token.

    With the softmax :math:`q` of the logits and the embedding :math:`E` of the tokens,
    its rows normalized to length 1 and held constant, the distance is the mean cosine
    distance to the label,

    .. math:: e = 1 - \langle E_y, \textstyle\sum_v q_v E_v \rangle,

    and with the share :math:`s` of the distance and sg, a factor held constant,

    .. math::
        \text{plain, adaptive:}\quad & (1 - s)\, CE + s\,\mathrm{sg}(CE / e)\, e, \\
        \text{adaptive\_distance:}\quad & 2 (1 - s)\,\mathrm{sg}(e / CE)\, CE + 2 s\, e.

    In the adaptive forms the label's own probability enters :math:`e` as :math:`q_y -
    \mathrm{sg}(q_y)`: nothing in the value, everything in the gradient. The plain
    form's value is the cross-entropy, its gradient is not. No matrix of tokens by
    tokens is formed: the cost is one product ``(tokens, V) x (V, D)``.

    Args:
      logits: shape ``(..., V)``, any floating type; computed in float32, in float64
        where the logits are float64.
      labels: integers in ``0 .. V - 1``, shape ``(...)``; in a program one out of
        range gives NaN.
      embedding: shape ``(V, D)``; no gradient flows into it, its scale does not
        matter, and a row of zeros is at distance 1 from every other.
      where: shape ``(...)``; 0 drops a token: loss and gradient are 0, whatever its
        logits are.
      form: ``"plain"``, ``"adaptive"`` or ``"adaptive_distance"`` (the code's emo,
        emo1 and emo2).
      share: :math:`s`, in ``[0, 1]``; 0 is the cross-entropy in the first two forms.

    Returns:
      Shape ``(...)``, float32 or float64. Two arrays of the size of the logits are
      kept for the gradient.

    Raises:
      InputError: shapes that do not belong together, labels that are no integers, a
        known label or an argument out of range.

    Source: Ren et al., "EMO: Earth Mover Distance Optimization for Auto-Regressive
    Language Modeling", 2023 (https://arxiv.org/abs/2310.04691) and its code; ``share``
    is ours, 1/2 there.

    >>> logits, labels = jnp.zeros((1, 2)), jnp.array([0])
    >>> emo(logits, labels, embedding=jnp.eye(2)).round(3).tolist()
    [0.6930000185966492]
    """
    check_arguments(emo, locals())
    losses = cross_entropy(logits, labels, where=where)
    refuse_out_of_range(labels, logits.shape[-1], where, of="tokens")
    check_real("embedding", embedding)
    if embedding.ndim != 2 or embedding.shape[0] != logits.shape[-1]:
        raise InputError(
            f"embedding must have shape ({logits.shape[-1]}, D), a row for each class; "
            f"got {embedding.shape}"
        )
    wide = accumulation_dtype(logits.dtype)
    q = jax.nn.softmax(kept(logits.astype(wide), where))
    if form != "plain":
        own = is_class(labels, q.shape[-1])
        q = jnp.where(own, q - jax.lax.stop_gradient(q), q)
    distance = _distance(q, labels, embedding.astype(wide))
    part = jnp.asarray(share, wide)
    if form == "adaptive_distance":
        ratio = jax.lax.stop_gradient(distance / (losses + _EPS))
        mixed = 2 * (1 - part) * ratio * losses + 2 * part * distance
    else:
        # Rounding may leave a distance just below zero.
        above = jnp.maximum(jax.lax.stop_gradient(distance), 0)
        ratio = jax.lax.stop_gradient(losses) / (above + _EPS)
        mixed = (1 - part) * losses + part * ratio * distance
    return or_zero(mixed, where)


def _distance(q: jax.Array, labels: jax.Array, embedding: jax.Array) -> jax.Array:
    """Mean cosine distance of the classes, weighted by ``q``, to the label."""
    embedding = jax.lax.stop_gradient(embedding)
    length = jnp.linalg.norm(embedding, axis=1, keepdims=True)
    rows = embedding / jnp.where(length == 0, 1, length)
    mean = jnp.matmul(q, rows, precision=jax.lax.Precision.HIGHEST)
    target = jnp.take(rows, labels.astype(jnp.int32), axis=0, mode="clip")
    return 1 - jnp.sum(target * mean, axis=-1)
