"""Difference of probabilities and outcomes over windows of sorted events."""
# Its examples wait for pytest --full.

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxopt_lab.core.labels import is_class
from jaxopt_lab.core.options import (
    COUNT,
    COUNT_OR_ZERO,
    NON_NEGATIVE,
    check_arguments,
)
from jaxopt_lab.metrics.mergeable import labelled
from jaxopt_lab.metrics.sorted_events import (
    BLOCK,
    Parts,
    own_events,
    part_cuts,
    part_shares,
    window_sums,
    with_zero,
)


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
      Scalar in [0, 1], float32 or float64; 0 of no events. Of equal probabilities those
      with outcome 0 stand first, then those of the lower label: the order of the
      examples does not matter. Time: one sort of the ``B * C`` events, and a few passes
      over them for each class that is left out, one class at a time; memory: ``C / 8``
      bytes an event, and arrays of one class. The gradient holds the order, the parts
      and the signs of the sums constant; it takes as many passes again, and no second
      sort. Of ``where`` it is that of the value.

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
    right = is_class(labels, logits.shape[1])
    # A label that is no class has no probability: visible in the value.
    known = jnp.any(right, axis=1, keepdims=True) | (weight == 0)[:, None]
    logp = jnp.where(known, logp, jnp.nan)
    residual = jnp.exp(logp) - right.astype(logp.dtype)
    rules = _Rules(reach, parts, count, leave_class_out)
    y, eased = jnp.asarray(labels, jnp.int32), jnp.asarray(tolerance, logp.dtype)
    if where is None:
        loss = _of_all(rules, residual, logp, y, eased)
    else:
        loss = _weighted(rules, residual, logp, y, jnp.asarray(weight), eased)
    # Events that are no number stand last, and clusters may not see them.
    return loss + jnp.sum(jnp.where(jnp.isnan(residual), residual, 0))


class _Rules(NamedTuple):
    """The options of a loss that shape its program."""

    reach: int
    parts: Parts
    count: int
    leave_class_out: bool


class _Linear(NamedTuple):
    """A sum of absolute values as a linear function: of given signs, it is one.

    Attributes:
      value: scalar.
      slopes: derivatives with respect to the residuals.
      active: share of the windows above the tolerance.
    """

    value: jax.Array
    slopes: jax.Array
    active: jax.Array


@functools.partial(jax.custom_jvp, nondiff_argnums=(0,))
def _of_all(
    rules: _Rules,
    residual: jax.Array,
    logp: jax.Array,
    labels: jax.Array,
    tolerance: jax.Array,
) -> jax.Array:
    """The loss of examples that count alike."""
    return _linear(rules, residual, logp, labels, tolerance, slopes=False).value


@_of_all.defjvp
def _of_all_jvp(rules: _Rules, primals: Any, tangents: Any) -> Any:
    found = _linear(rules, *primals, slopes=True)
    residual, _, _, tolerance = primals
    moved, _, _, eased = tangents
    # Zeros, whose derivatives are those of the value: a rule is differentiated again.
    own = lambda x: x - jax.lax.stop_gradient(x)
    value = found.value + jnp.sum(found.slopes * own(residual))
    value = value - found.active * own(tolerance)
    return value, jnp.sum(found.slopes * moved) - found.active * eased


def _sorted(
    logp: jax.Array, labels: jax.Array
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Order of the events, their probabilities and the labels of their examples.

    Of equal probabilities those with the outcome stand last and those of the lowest
    label first: what is left in the order of the examples is all the same.
    """
    classes = logp.shape[1]
    label = jnp.clip(labels, 0, classes - 1).astype(jnp.int32)
    right = label[:, None] == jnp.arange(classes, dtype=jnp.int32)[None]
    code = right.astype(jnp.int32) * classes + label[:, None]
    places = jnp.arange(logp.size, dtype=jnp.int32)
    given = logp.reshape(-1), code.reshape(-1), places
    logp, code, order = jax.lax.sort(given, num_keys=2, is_stable=False)
    return order, jnp.exp(logp), code % classes


def _linear(
    rules: _Rules,
    residual: jax.Array,
    logp: jax.Array,
    labels: jax.Array,
    tolerance: jax.Array,
    *,
    slopes: bool,
) -> _Linear:
    """The loss, and with ``slopes`` its derivatives, from one sort."""
    residual, logp, tolerance = jax.lax.stop_gradient((residual, logp, tolerance))
    classes, size = logp.shape[1], logp.size
    order, p, label = _sorted(logp, labels)
    r = residual.reshape(-1)[order]
    width = 2 * rules.reach + 1

    def found(x: jax.Array, ends: jax.Array, ranks: Any) -> _Linear:
        """That of sorted residuals, with the rank of each event among them."""
        shares = part_shares(ends, size, p.dtype)
        total = window_sums(x, rules.reach)
        above = jnp.abs(total) / width - tolerance > 0
        signs = jnp.where(above, shares * jnp.sign(total), 0) / width
        active = width * jnp.sum(jnp.abs(signs))
        value = jnp.sum(signs * total) - active * tolerance
        if not slopes:
            return _Linear(value, jnp.zeros_like(r), active)
        back = window_sums(signs, rules.reach)
        return _Linear(value, back if ranks is None else back[ranks], active)

    if rules.leave_class_out:
        total = _leave_out(rules, r, p, label, classes, found)
    else:
        sums = with_zero(jnp.cumsum(p))
        ends = part_cuts(p, lambda i: i, lambda i: sums[i], rules.parts, rules.count)
        total = found(r, ends, None)
    if not slopes:
        return total
    back = jnp.zeros_like(r).at[order].set(total.slopes, unique_indices=True)
    return total._replace(slopes=back.reshape(logp.shape))


def _leave_out(
    rules: _Rules,
    r: jax.Array,
    p: jax.Array,
    label: jax.Array,
    classes: int,
    found: Callable[..., _Linear],
) -> _Linear:
    """Mean over the classes without whose examples the others are.

    Sorted events stay sorted where some are taken out. The rank of one is its place
    less the events of the class before it, which are counted for all classes at once,
    a word for each block; a class then takes a few passes over the events.
    """
    size, dtype = p.size, label.dtype
    own, sums = own_events(label, p, classes), with_zero(jnp.cumsum(p))
    blocks = jnp.pad(p, (0, -size % BLOCK)).reshape(-1, BLOCK)
    places = jnp.arange(size, dtype=dtype)
    bits = jnp.arange(BLOCK, dtype=jnp.uint32)
    lower = (jnp.uint32(1) << bits) - 1

    def without(total: _Linear, given: Any) -> tuple[_Linear, None]:
        c, (words, counts, own_sums) = given

        def split(at: jax.Array) -> tuple[jax.Array, jax.Array]:
            """The block of a place, and its own events before the place."""
            return at // BLOCK, words[at // BLOCK] & lower[at % BLOCK]

        def kept_before(at: jax.Array) -> jax.Array:
            block, before = split(at)
            return at - counts[block] - _bits(before)

        def kept_sums(at: jax.Array) -> jax.Array:
            block, before = split(at)
            inside = (before[:, None] >> bits[None]) & 1 > 0
            rest = jnp.sum(jnp.where(inside, blocks[block], 0), axis=1)
            return sums[at] - own_sums[block] - rest

        cuts = part_cuts(p, kept_before, kept_sums, rules.parts, rules.count)
        before = counts[:-1, None] + _bits(words[:, None] & lower[None])
        ranks = places - before.reshape(-1)[:size]
        kept = label != c
        x = jnp.zeros_like(r).at[jnp.where(kept, ranks, size)].set(r, mode="drop")
        one = found(x, kept_before(cuts), ranks)
        one = one._replace(slopes=jnp.where(kept, one.slopes, 0))
        return jax.tree.map(lambda a, b: a + b / classes, total, one), None

    number = jnp.zeros((), p.dtype)
    start = _Linear(number, jnp.zeros_like(r), number)
    every = jnp.arange(classes, dtype=dtype), jax.tree.map(jnp.transpose, own)
    return jax.lax.scan(without, start, every)[0]


def _bits(words: jax.Array) -> jax.Array:
    return jax.lax.population_count(words).astype(jnp.int32)


def _weighted(
    rules: _Rules,
    residual: jax.Array,
    logp: jax.Array,
    labels: jax.Array,
    weight: jax.Array,
    tolerance: jax.Array,
) -> jax.Array:
    """The loss of weighted examples: windows are as wide in weights."""
    classes = logp.shape[1]
    order, p, label = _sorted(jax.lax.stop_gradient(logp), labels)
    r, w = residual.reshape(-1)[order], weight[order // classes]
    width = 2 * rules.reach + 1

    def of(kept: jax.Array) -> jax.Array:
        # Events of weight 0 have no width: they need not be taken out.
        mass = jnp.where(kept, w, 0)
        edges = with_zero(jnp.cumsum(mass))
        sums = with_zero(jnp.cumsum(mass * jnp.where(kept, r, 0)))
        # The two copies of an example of weight 2 stand half an event off the middle.
        middle, off = (edges[1:] + edges[:-1]) / 2, (mass - 1) / 2
        copies = jnp.stack([middle - off, middle + off])
        ends = jnp.stack([copies + width / 2, copies - width / 2])
        upper, lower = jnp.interp(ends, edges, sums)
        gaps = jnp.abs(upper - lower) / width - tolerance
        gaps = jnp.mean(jax.nn.relu(gaps), axis=0)
        fixed = jax.lax.stop_gradient((edges, with_zero(jnp.cumsum(mass * p))))
        counts, total = ((lambda i, x=x: x[i]) for x in fixed)
        cuts = part_cuts(p, counts, total, rules.parts, rules.count)
        sizes = jnp.diff(edges[cuts])
        parts = jnp.diff(with_zero(jnp.cumsum(mass * gaps))[cuts])
        filled = sizes > 0
        means = jnp.where(filled, parts / jnp.where(filled, sizes, 1), 0)
        return jnp.sum(means) / jnp.maximum(jnp.sum(filled.astype(p.dtype)), 1)

    if not rules.leave_class_out:
        return of(w > 0)
    without = jax.checkpoint(lambda c: of((label != c) & (w > 0)))
    return jnp.mean(jax.lax.map(without, jnp.arange(classes, dtype=jnp.int32)))
