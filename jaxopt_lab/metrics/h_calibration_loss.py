"""Difference of probabilities and outcomes over windows of sorted events."""

from __future__ import annotations

from typing import Annotated, Literal

import jax
import jax.numpy as jnp

from jaxopt_lab.core.options import (
    COUNT,
    COUNT_OR_ZERO,
    NON_NEGATIVE,
    check_arguments,
)
from jaxopt_lab.metrics.mergeable import labelled

Parts = Literal["clusters", "bins", "events"]
_ROUNDS = 10


def h_calibration_loss(
    logits: jax.Array,
    labels: jax.Array,
    *,
    where: jax.Array | None = None,
    reach: Annotated[int, COUNT_OR_ZERO] = 100,
    tolerance: Annotated[float, NON_NEGATIVE] = 1e-20,
    parts: Parts = "clusters",
    count: Annotated[int, COUNT] = 15,
    leave_class_out: bool = True,
) -> jax.Array:
    r"""Difference of probability and outcome over windows of sorted events.

    The events are the pairs of an example and a class, with probability :math:`p` and
    outcome :math:`o`, sorted by :math:`p`. Each has a window of :math:`2r + 1` events
    around it, filled with zeros beyond the ends, and

    .. math:: T = \left| \frac{1}{2r + 1} \sum p (1 - o) - \frac{1}{2r + 1}
        \sum (1 - p) o \right| = \frac{1}{2r + 1} \left| \sum (p - o) \right|.

    The loss is the mean of :math:`\max(T - \epsilon, 0)` in each part of the
    probabilities, then over the parts, then over the classes, for each of which the
    examples with that label are left out.

    Args:
      logits: ``(B, C)``, finite.
      labels: ``(B,)``.
      where: ``(B,)``, weight of each example; 0 drops one, and 1 and 2 are one and two
        equal examples. Other weights count at two points of a window.
      reach: :math:`r`, events on each side.
      tolerance: :math:`\epsilon`.
      parts: ``"clusters"`` of k-means of the probabilities, ``"bins"`` of equal width,
        ``"events"`` for one mean over all events.
      count: number of clusters or bins; empty ones do not count.
      leave_class_out: leave out the examples of one class at a time; else all stay.

    Returns:
      Scalar in [0, 1], float32 or float64; 0 of no events. Equal probabilities stand
      in the order of the events, on which the loss then depends. Time: one sort of the
      ``B * C`` events, and sums over them for each class that is left out, one class
      at a time; memory: that of one class. The gradient holds the order and the parts
      constant.

    Raises:
      InputError: the shapes do not fit or an option is out of range.

    Deviations: the released code clusters at random; here k-means begins at quantiles
    and takes ten rounds. Its factor of 1e5 is left out.

    Source: "h-calibration: Rethinking Classifier Recalibration with Probabilistic
    Error-Bounded Objective", 2025, and its code.

    >>> float(h_calibration_loss(jnp.zeros((2, 2)), jnp.array([0, 1]), reach=0))
    0.5
    """
    check_arguments(h_calibration_loss, locals())
    given = {"outputs": logits, "targets": labels}
    logits, labels, weight = labelled(
        given if where is None else {**given, "weight": where}
    )
    logp = jax.nn.log_softmax(logits)
    classes = jnp.arange(logits.shape[1], dtype=labels.dtype)
    right = labels[:, None] == classes[None]
    # A label that is no class has no probability: visible in the value.
    known = jnp.any(right, axis=1, keepdims=True) | (weight == 0)[:, None]
    logp = jnp.where(known, logp, jnp.nan)
    order = jnp.argsort(jax.lax.stop_gradient(logp).reshape(-1))
    p = jnp.exp(logp.reshape(-1)[order])
    residual = p - right.reshape(-1)[order].astype(p.dtype)
    example = order // logits.shape[1]
    label, w = jnp.asarray(labels)[example], jnp.asarray(weight)[example]

    def value(kept: jax.Array) -> jax.Array:
        # Sorted events stay sorted where some are taken out: no second sort.
        place = jnp.nonzero(kept, size=kept.size, fill_value=kept.size)[0]
        inside = jnp.arange(kept.size) < jnp.sum(kept)
        r = jnp.where(inside, residual.at[place].get(mode="clip"), 0)
        q = jnp.where(inside, p.at[place].get(mode="clip"), 2)
        if where is None:
            mass = inside.astype(p.dtype)
            sums = jnp.abs(_window_sums(r, reach))
            gaps = jax.nn.relu(sums / (2 * reach + 1) - tolerance)
        else:
            mass = jnp.where(inside, w.at[place].get(mode="clip"), 0)
            gaps = _weighted_gaps(r, mass, reach, tolerance)
        ends = _ends(jax.lax.stop_gradient(q), mass, parts, count)
        total = jnp.concatenate([jnp.zeros(1, p.dtype), jnp.cumsum(mass * gaps)])
        size = jnp.concatenate([jnp.zeros(1, p.dtype), jnp.cumsum(mass)])
        sizes, sums = jnp.diff(size[ends]), jnp.diff(total[ends])
        filled = sizes > 0
        means = jnp.where(filled, sums / jnp.where(filled, sizes, 1), 0)
        return jnp.sum(means) / jnp.maximum(jnp.sum(filled.astype(p.dtype)), 1)

    if leave_class_out:
        without = jax.checkpoint(lambda c: value((label != c) & (w > 0)))
        loss = jnp.mean(jax.lax.map(without, classes))
    else:
        loss = value(w > 0)
    # Events that are no number stand last, and clusters may not see them.
    return loss + jnp.sum(jnp.where(jnp.isnan(p), p, 0))


def _window_sums(x: jax.Array, reach: int) -> jax.Array:
    """Sums of the ``2 * reach + 1`` entries around each, zeros beyond the ends."""
    width = 2 * reach + 1
    rows = -(-(x.size + 2 * reach) // width) + 1
    padded = jnp.pad(x, (reach, rows * width - x.size - reach)).reshape(rows, width)
    # A window is the end of one row and the beginning of the next: no sum is longer
    # than a window, and nothing cancels.
    before = jnp.cumsum(padded, axis=1) - padded
    after = jnp.flip(jnp.cumsum(jnp.flip(padded, 1), axis=1), 1)
    return after.reshape(-1)[: x.size] + before.reshape(-1)[width : width + x.size]


def _weighted_gaps(
    r: jax.Array, mass: jax.Array, reach: int, tolerance: float
) -> jax.Array:
    """The differences of windows whose width is counted in weights."""
    zero = jnp.zeros(1, r.dtype)
    edges = jnp.concatenate([zero, jnp.cumsum(mass)])
    sums = jnp.concatenate([zero, jnp.cumsum(mass * r)])
    middle, half = (edges[1:] + edges[:-1]) / 2, (2 * reach + 1) / 2

    def gap(at: jax.Array) -> jax.Array:
        upper = jnp.interp(at + half, edges, sums)
        lower = jnp.interp(at - half, edges, sums)
        mean = jnp.abs(upper - lower) / (2 * reach + 1)
        return jax.nn.relu(mean - tolerance)

    # The two copies of an example of weight 2 stand half an event off the middle.
    off = (mass - 1) / 2
    return (gap(middle - off) + gap(middle + off)) / 2


def _ends(q: jax.Array, mass: jax.Array, parts: Parts, count: int) -> jax.Array:
    """Indices in the sorted probabilities at which parts end, ``count + 1``."""
    last = jnp.array([q.size], jnp.int32)
    first = jnp.zeros(1, jnp.int32)
    if parts == "events":
        return jnp.concatenate([first, last])
    if parts == "bins":
        inner = jnp.arange(1, count, dtype=q.dtype) / count
        cuts = jnp.searchsorted(q, inner, side="right").astype(jnp.int32)
        return jnp.concatenate([first, cuts, last])
    zero = jnp.zeros(1, q.dtype)
    size = jnp.concatenate([zero, jnp.cumsum(mass)])
    total = jnp.concatenate([zero, jnp.cumsum(mass * q)])
    ranks = (jnp.arange(count, dtype=q.dtype) + 0.5) / count * size[-1]
    start = q[jnp.clip(jnp.searchsorted(size[1:], ranks, side="right"), 0, q.size - 1)]

    def ends(centres: jax.Array) -> jax.Array:
        middle = (centres[1:] + centres[:-1]) / 2
        cuts = jnp.searchsorted(q, middle, side="right").astype(jnp.int32)
        return jnp.concatenate([first, cuts, last])

    def moved(centres: jax.Array, _: None) -> tuple[jax.Array, None]:
        cuts = ends(centres)
        sizes, sums = jnp.diff(size[cuts]), jnp.diff(total[cuts])
        filled = sizes > 0
        return jnp.where(filled, sums / jnp.where(filled, sizes, 1), centres), None

    return ends(jax.lax.scan(moved, start, length=_ROUNDS)[0])
