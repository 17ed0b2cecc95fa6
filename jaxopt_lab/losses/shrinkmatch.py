"""ShrinkMatch: FixMatch that learns from uncertain examples in a shrunk class space."""
# Its examples wait for pytest --full.

from __future__ import annotations

from typing import Annotated, NamedTuple

import jax
import jax.numpy as jnp

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.options import COUNT_OR_ZERO, NON_NEGATIVE, UNIT, check_arguments
from jaxopt_lab.core.trees import accumulation_dtype
from jaxopt_lab.losses.confident_cross_entropy import confident_cross_entropy
from jaxopt_lab.losses.stateful import StatefulLoss
from jaxopt_lab.losses.targets import (
    check_floats,
    check_probabilities,
    check_shape,
    kept,
    mean_where,
    valid,
)


class ShrinkMatchState(NamedTuple):
    """Running statistics of the weak views.

    Attributes:
      certain: running share of certain examples, float32 or float64.
      seen: batches with an example so far, int32.
      means: ``(window, C)``, mean probabilities of the last batches, the oldest first;
        ``(0, C)`` without alignment.
    """

    certain: jax.Array
    seen: jax.Array
    means: jax.Array


def shrinkmatch(
    *,
    threshold: Annotated[float, UNIT] = 0.95,
    weight: Annotated[float, NON_NEGATIVE] = 1.0,
    decay: Annotated[float, UNIT] = 0.999,
    window: Annotated[int, COUNT_OR_ZERO] = 0,
) -> StatefulLoss:
    r"""FixMatch, and uncertain examples among the classes that leave them certain.

    With the weak view's probabilities in falling order, :math:`q_0 \ge q_1 \ge \ldots`,
    the class space of an example with :math:`q_0 < \tau` keeps class 0 and the classes
    from c on, the smallest :math:`c \ge 2` with

    .. math:: \frac{q_0}{q_0 + \sum_{j \ge c} q_j} \ge \tau.

    Its loss is :math:`w \, \rho \, q_0` times the cross-entropy of the auxiliary logits
    of the strong view among these classes, 0 where no c will do; :math:`\rho` is the
    running share of certain examples, the present batch included and that of the first
    batch at the start. A certain example has the loss of ``confident_cross_entropy``.

    Args:
      threshold: :math:`\tau`.
      weight: w; 0 is FixMatch.
      decay: of the running share.
      window: number of last batches, the present one included, by whose mean
        probabilities those of the weak view are divided (then normalized) before
        everything else; 0: none. The code has 32.

    Returns:
      ``init(logits) -> ShrinkMatchState`` and ``apply(state, logits, *, weak,
      auxiliary, where=None) -> (losses, state)``: logits of the strong view
      ``(B, C)``, probabilities of the weak view, held constant, and logits of the
      auxiliary head on the strong view, of the same shape; ``where`` ``(B,)``: 0 drops
      an example from losses and statistics. Losses ``(B,)``, coupled through the
      statistics only. Of two classes nothing is learnt from uncertain examples.

    Raises:
      InputError: an option is out of range; at the call, shapes that do not belong
        together or ``weak`` no probabilities.

    Cost: a sort of the classes of each example, else linear in the logits. State:
    ``window`` rows of C numbers and two more. Kept for the gradient: six to seven
    arrays of the size of the logits.

    Source: Yang et al., "Shrinking Class Space for Enhanced Certainty in
    Semi-Supervised Learning", 2023 (https://arxiv.org/abs/2308.06777) and its code,
    whose class 1 is always removed. Its running share is reset in each epoch; here
    it goes on.

    >>> loss = shrinkmatch(threshold=0.9)
    >>> z = jnp.zeros((2, 3))
    >>> q = jnp.array([[0.95, 0.03, 0.02], [0.6, 0.38, 0.02]])
    >>> losses, state = loss.apply(loss.init(z), z, weak=q, auxiliary=z)
    >>> [f"{x:.3f}" for x in losses], float(state.certain)  # log 3, 0.3 log 2
    (['1.099', '0.208'], 0.5)
    """
    check_arguments(shrinkmatch, locals())

    def init(logits: jax.Array) -> ShrinkMatchState:
        check_floats("logits", logits, 2)
        wide = accumulation_dtype(logits.dtype)
        return ShrinkMatchState(
            certain=jnp.zeros((), wide),
            seen=jnp.zeros((), jnp.int32),
            means=jnp.zeros((window, logits.shape[1]), wide),
        )

    def apply(
        state: ShrinkMatchState,
        logits: jax.Array,
        *,
        weak: jax.Array,
        auxiliary: jax.Array,
        where: jax.Array | None = None,
    ) -> tuple[jax.Array, ShrinkMatchState]:
        check_floats("logits", logits, 2)
        check_shape("weak", weak, logits.shape)
        check_shape("auxiliary", auxiliary, logits.shape)
        counts = valid(where, logits.shape[0], logits)
        check_probabilities("weak", weak, where)
        if state.means.shape != (window, logits.shape[1]):
            raise InputError(
                f"logits of shape {logits.shape} do not fit a state of "
                f"{state.means.shape[1]} classes and {state.means.shape[0]} batches"
            )
        wide = accumulation_dtype(logits.dtype)
        q = jax.lax.stop_gradient(kept(weak.astype(wide), where))
        some = jnp.sum(counts) > 0
        means = state.means
        if window:
            mean = jnp.sum(q, axis=0) / jnp.maximum(jnp.sum(counts), 1)
            moved = jnp.concatenate([means[1:], mean[None].astype(means.dtype)])
            means = jnp.where(some, moved, means)
            q = _aligned(q, means.astype(wide))
        certain = jnp.max(q, axis=-1) >= jnp.asarray(threshold, wide)
        share = mean_where(certain.astype(wide), counts)
        before = state.certain.astype(wide)
        kept_part = jnp.asarray(decay, wide)
        running = jnp.where(
            state.seen == 0, share, kept_part * before + (1 - kept_part) * share
        )
        running = jnp.where(some, running, before)
        shrunk = shrunk_cross_entropy(
            kept(auxiliary.astype(wide), where), weak=q, threshold=threshold
        )
        # The label of a dropped example sums to 0, and its logits do not count.
        plain = confident_cross_entropy(
            logits, weak=q, threshold=threshold, where=where
        )
        losses = plain + jnp.asarray(weight, wide) * running * shrunk
        state = ShrinkMatchState(
            certain=running.astype(state.certain.dtype),
            seen=state.seen + some.astype(jnp.int32),
            means=means,
        )
        return losses if where is None else jnp.where(counts > 0, losses, 0), state

    return StatefulLoss(init, apply)


def shrunk_cross_entropy(
    logits: jax.Array, *, weak: jax.Array, threshold: float | jax.Array
) -> jax.Array:
    r"""Cross-entropy of uncertain examples in their shrunk class space, times q_0.

    Args:
      logits: of the auxiliary head, ``(B, C)``.
      weak: probabilities, ``(B, C)``, held constant; rows of zeros give 0.
      threshold: :math:`\tau`, as of ``shrinkmatch``.

    Returns:
      Shape ``(B,)``; 0 for certain examples and where no class space will do.

    >>> z, q = jnp.zeros((1, 3)), jnp.array([[0.6, 0.38, 0.02]])
    >>> f"{shrunk_cross_entropy(z, weak=q, threshold=0.9)[0]:.3f}"  # 0.6 log 2
    '0.416'
    """
    q = jax.lax.stop_gradient(weak)
    limit = jnp.asarray(threshold, q.dtype)
    order = jnp.argsort(-q, axis=-1, stable=True)
    falling = jnp.take_along_axis(q, order, axis=-1)
    logits = jnp.take_along_axis(logits, order, axis=-1)
    places = jnp.arange(q.shape[-1])[None]
    tail = jnp.flip(jnp.cumsum(jnp.flip(falling, -1), axis=-1), -1)
    top = falling[:, :1]
    whole = top + tail
    # Without a division: a row of zeros reaches every limit of 0 / 0.
    reached = (top >= limit * whole) & (places >= 2) & (top > 0)
    start = jnp.argmax(reached, axis=-1)[:, None]
    inside = (places == 0) | (places >= start)
    log_sum = jax.nn.logsumexp(jnp.where(inside, logits, -jnp.inf), axis=-1)
    learns = jnp.any(reached, axis=-1) & (top[:, 0] < limit)
    return jnp.where(learns, top[:, 0] * (log_sum - logits[:, 0]), 0)


def _aligned(q: jax.Array, means: jax.Array) -> jax.Array:
    """Probabilities divided by their mean over the last batches, and normalized."""
    # Rows of zeros are batches that have not been: their number cancels.
    mean = jnp.sum(means, axis=0)[None]
    ratio = q / jnp.where(mean > 0, mean, 1)
    total = jnp.sum(ratio, axis=-1, keepdims=True)
    return ratio / jnp.where(total > 0, total, 1)
