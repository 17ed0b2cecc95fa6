"""PRES: memory that is predicted from its rate of change, and corrected by events."""
# Its examples wait for pytest --full.

from __future__ import annotations

from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.known_values import known_values
from jaxopt_lab.core.options import COUNT, UNIT, check_arguments
from jaxopt_lab.core.trees import safe_divide, safe_sqrt
from jaxopt_lab.layers.graph.graphs import check_indices
from jaxopt_lab.layers.graph.temporal_memory import (
    Changed,
    Events,
    Memory,
    MemoryState,
    stored,
)

FIRST_GATE = 0.9


class IncrementTracker(NamedTuple):
    """Sums of the rates at which memories have changed, for each kind of event.

    Attributes:
      count: ``(components,)``, number of rates.
      total: ``(components, size)``.
      total_sq: ``(components, size)``, sum of squares.
    """

    count: jax.Array
    total: jax.Array
    total_sq: jax.Array


def tracker_update(
    tracker: IncrementTracker,
    rates: jax.Array,
    classes: jax.Array,
    where: jax.Array | None = None,
) -> IncrementTracker:
    """A tracker that has seen more rates.

    Args:
      tracker: the tracker before.
      rates: ``(m, size)``; constants.
      classes: ``(m,)`` whole numbers, the component of each; others are dropped.
      where: ``(m,)``; 0 drops a rate. ``None``: none.

    Returns:
      The tracker after: sums do not depend on the order of arrival.

    >>> empty = IncrementTracker(*(jnp.zeros(s) for s in ((1,), (1, 1), (1, 1))))
    >>> seen = tracker_update(empty, jnp.array([[1.0], [3.0]]), jnp.array([0, 0]))
    >>> seen.count.tolist(), seen.total_sq.tolist()
    ([2.0], [[10.0]])
    """
    rates = jax.lax.stop_gradient(rates)
    here = jnp.ones(rates.shape[:1], bool) if where is None else where.astype(bool)
    rates = jnp.where(here[:, None], rates, 0).astype(tracker.total.dtype)
    add = lambda total, x: total + jax.ops.segment_sum(x, classes, total.shape[0])
    return IncrementTracker(
        add(tracker.count, here.astype(tracker.count.dtype)),
        add(tracker.total, rates),
        add(tracker.total_sq, rates * rates),
    )


def tracker_moments(tracker: IncrementTracker) -> tuple[jax.Array, jax.Array]:
    """Mean and biased variance of all rates so far, of each component.

    Args:
      tracker: the tracker.

    Returns:
      Two arrays ``(components, size)``; 0 for a component that has seen nothing.

    >>> seen = IncrementTracker(*map(jnp.array, ([2.0], [[4.0]], [[10.0]])))
    >>> [x.tolist() for x in tracker_moments(seen)]
    [[[2.0]], [[1.0]]]
    """
    count = tracker.count[:, None]
    mean = safe_divide(tracker.total, jnp.broadcast_to(count, tracker.total.shape))
    square = safe_divide(tracker.total_sq, jnp.broadcast_to(count, mean.shape))
    return mean, jnp.maximum(square - mean * mean, 0)


def predict_memory(
    old: jax.Array,
    elapsed: jax.Array,
    tracker: IncrementTracker,
    key: jax.Array | None = None,
) -> jax.Array:
    r"""The memory that is expected after some time.

    .. math:: \hat s(t_2) = s(t_1) + (t_2 - t_1) \sum_c \frac{n_c}{n} \mu_c

    Args:
      old: ``(m, size)``.
      elapsed: ``(m,)``.
      tracker: its mixture of normal distributions has the mean and variance of the
        rates of each component, with its share of all rates as the weight.
      key: draw the rate of each row from the mixture; ``None``: its mean, as above.

    Returns:
      ``(m, size)``; ``old`` where the tracker has seen nothing.

    >>> seen = IncrementTracker(*map(jnp.array, ([2.0], [[4.0]], [[10.0]])))
    >>> predict_memory(jnp.array([[1.0]]), jnp.array([3.0]), seen).tolist()
    [[7.0]]
    """
    mean, variance = tracker_moments(tracker)
    total = jnp.sum(tracker.count)
    shares = safe_divide(tracker.count, jnp.broadcast_to(total, tracker.count.shape))
    if key is None:
        rate = (shares @ mean)[None]
    else:
        which, noise = jax.random.split(key)
        logits = jnp.log(jnp.where(total > 0, shares, 1))
        chosen = jax.random.categorical(which, logits, shape=old.shape[:1])
        draw = jax.random.normal(noise, old.shape, mean.dtype)
        rate = mean[chosen] + safe_sqrt(variance)[chosen] * draw
    return old + elapsed[:, None].astype(old.dtype) * rate.astype(old.dtype)


def correct_memory(
    predicted: jax.Array, measured: jax.Array, gate: jax.Array | float
) -> jax.Array:
    """A prediction and what the event gives, mixed.

    Args:
      predicted: any shape.
      measured: of the same.
      gate: weight of what was measured.

    Returns:
      ``(1 - gate) predicted + gate measured``.

    >>> correct_memory(jnp.array([0.0]), jnp.array([2.0]), 0.25).tolist()
    [0.5]
    """
    g = jnp.asarray(gate, measured.dtype)
    return (1 - g) * predicted + g * measured


def memory_coherence(
    new: jax.Array, old: jax.Array, where: jax.Array | None = None
) -> jax.Array:
    r"""Penalty of memories that turn.

    .. math:: 1 - \operatorname{mean}_u \cos(s_u, \text{sg}(s_u^{old}))

    Args:
      new: ``(m, size)``.
      old: ``(m, size)``, constant.
      where: ``(m,)``; 0 drops a row. Rows whose old memory is 0 are dropped as well.

    Returns:
      A number from 0 to 2; 0 if no row is left.

    >>> float(memory_coherence(jnp.array([[2.0, 0.0]]), jnp.array([[1.0, 0.0]])))
    0.0
    """
    old = jax.lax.stop_gradient(old)
    size = jnp.sum(old * old, axis=1)
    here = size > 0 if where is None else where.astype(bool) & (size > 0)
    new = jnp.where(here[:, None], new, 0)
    norms = safe_sqrt(jnp.sum(new * new, axis=1)) * safe_sqrt(size)
    cosines = safe_divide(
        jnp.sum(new * jnp.where(here[:, None], old, 0), axis=1), norms
    )
    count = jnp.sum(here.astype(new.dtype))
    return safe_divide(jnp.sum(jnp.where(here, 1 - cosines, 0)), count)


def prediction_correction(
    memory: Memory,
    *,
    components: Annotated[int, COUNT] = 1,
    gate: Annotated[float | None, UNIT] = None,
    sampled: bool = False,
) -> Memory:
    r"""A memory whose events in one batch are mixed with what was to be expected.

    .. math:: \bar s_u = (1 - g) \hat s_u + g\, s_u^{new}

    is stored, with the prediction of ``predict_memory`` and a gate g that is learned.
    Its rate of change joins the tracker, of the component of the event's class.

    Args:
      memory: the memory, such as ``temporal_memory``.
      components: number of classes of events; 1: classes do not matter.
      gate: a fixed g instead; 1 is ``memory`` bit for bit.
      sampled: predictions are drawn; ``update`` needs its ``key``.

    Returns:
      A ``Memory`` with one more parameter, ``gate_logit``, and a tracker of 2
      ``components`` ``size`` numbers in its state. O(b size) more than ``memory``. Add
      ``beta * memory_coherence(changed.new, changed.old, changed.where)`` to the loss.
      ``restarted`` forgets the memory and keeps the tracker, for the next epoch.

    Raises:
      InputError: an argument is out of range; at the call, a known class is.

    Events at the time of the last one of their node give no rate. g begins at .9, ours.
    The published code differs from its paper: its tracker counts nothing, its gate
    weighs the prediction, the corrected memory is dropped and the penalty has no
    gradient; this is the form of the paper, from memory.

    Source: Su et al., "PRES: Toward Scalable Memory-Based Dynamic Graph Neural
    Networks", 2024 (https://arxiv.org/abs/2402.04284).

    >>> from jaxopt_lab.layers.graph.temporal_memory import temporal_memory
    >>> pres = prediction_correction(temporal_memory(2))
    >>> params = jax.jit(pres.init)(jax.random.key(0))
    >>> events = Events(jnp.array([0]), jnp.array([2]), jnp.array([1.0]))
    >>> state, _ = jax.jit(pres.update)(params, pres.start(3), events)
    >>> state.tracker.count.tolist()
    [2.0]
    """
    check_arguments(prediction_correction, {"components": components, "gate": gate})

    def init(key: jax.Array) -> dict[str, jax.Array]:
        params = memory.init(key)
        dtype = next(iter(params.values())).dtype
        first = jnp.log(jnp.asarray(FIRST_GATE / (1 - FIRST_GATE), dtype))
        return {**params, "gate_logit": first}

    def start(num_nodes: int) -> MemoryState:
        state = memory.start(num_nodes)
        size, dtype = state.memory.shape[1], state.memory.dtype
        shapes = ((components,), (components, size), (components, size))
        tracker = IncrementTracker(*(jnp.zeros(shape, dtype) for shape in shapes))
        return state._replace(tracker=tracker)

    def update(
        params: dict[str, jax.Array],
        state: MemoryState,
        events: Events,
        key: jax.Array | None = None,
    ) -> tuple[MemoryState, Changed]:
        if components == 1:
            events = events._replace(classes=None)
        known = known_values(0 if events.classes is None else events.classes)
        if known is not None:
            check_indices("classes", known, components, "components")
        inner = state._replace(tracker=())
        _, changed = memory.update(params, inner, events)
        draw = key if sampled else None
        if sampled and key is None:
            raise InputError("sampled=True needs a key; got none")
        predicted = predict_memory(changed.old, changed.elapsed, state.tracker, draw)
        g: Any = jax.nn.sigmoid(params["gate_logit"]) if gate is None else gate
        new = correct_memory(predicted, changed.new, g)
        changed = changed._replace(new=new)
        elapsed = changed.elapsed[:, None]
        rates = safe_divide(new - changed.old, jnp.broadcast_to(elapsed, new.shape))
        moved = changed.where & (changed.elapsed > 0)
        tracker = tracker_update(state.tracker, rates, changed.classes, moved)
        return stored(inner, changed)._replace(tracker=tracker), changed

    return Memory(init, start, update)


def restarted(state: MemoryState) -> MemoryState:
    """The state of another epoch: memory and times of 0, the tracker as it was.

    Args:
      state: any.

    Returns:
      The state.
    """
    return state._replace(
        memory=jnp.zeros_like(state.memory), last_time=jnp.zeros_like(state.last_time)
    )
