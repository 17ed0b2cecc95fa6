"""Memory of the nodes of a graph whose edges are events in time."""
# Its examples wait for pytest --full.

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.known_values import known_values
from jaxopt_lab.core.options import COUNT, COUNT_OR_ZERO, check_arguments
from jaxopt_lab.layers.graph.graphs import check_indices
from jaxopt_lab.layers.norm.last_axis import along

GLOROT = jax.nn.initializers.glorot_uniform()


class Events(NamedTuple):
    """Events in the order of time, each of two nodes.

    Attributes:
      sources: ``(b,)`` whole numbers.
      targets: ``(b,)``.
      times: ``(b,)`` real, not falling.
      features: ``(b, f)`` or ``None``.
      classes: ``(b,)`` whole numbers, the kind of each event; ``None``: 0.
      mask: ``(b,)``, 0 for padding; ``None``: every event counts.
    """

    sources: Any
    targets: Any
    times: Any
    features: Any = None
    classes: Any = None
    mask: Any = None


class MemoryState(NamedTuple):
    """The memory of every node.

    Attributes:
      memory: ``(n, size)``, 0 at the start.
      last_time: ``(n,)``, time of the last event of each node, 0 at the start.
      tracker: of a wrapper; ``()`` without.
    """

    memory: jax.Array
    last_time: jax.Array
    tracker: Any = ()


class Changed(NamedTuple):
    """The rows of an update, two for each event: its source and its target.

    Attributes:
      nodes: ``(2 b,)``, the node of each row.
      old: ``(2 b, size)``, its memory before.
      new: ``(2 b, size)``, its memory after the event.
      times: ``(2 b,)``, of the event.
      elapsed: ``(2 b,)``, time since the last event of the node.
      classes: ``(2 b,)``, the kind of the event.
      where: ``(2 b,)`` bool, whether the row is stored: it is the last one of its node.
    """

    nodes: jax.Array
    old: jax.Array
    new: jax.Array
    times: jax.Array
    elapsed: jax.Array
    classes: jax.Array
    where: jax.Array


class Memory(NamedTuple):
    """A memory as three functions.

    Attributes:
      init: ``init(key) -> params``.
      start: ``start(num_nodes) -> MemoryState``.
      update: ``update(params, state, events, key=None) -> (state, Changed)``.
    """

    init: Callable[..., dict[str, jax.Array]]
    start: Callable[[int], MemoryState]
    update: Callable[..., tuple[MemoryState, Changed]]


def last_of_each(
    nodes: jax.Array, positions: jax.Array, where: jax.Array, num_nodes: int
) -> jax.Array:
    """The rows that are the last ones of their nodes.

    Args:
      nodes: ``(m,)`` whole numbers below ``num_nodes``.
      positions: ``(m,)`` whole numbers from 0, all different.
      where: ``(m,)`` bool; other rows do not count.
      num_nodes: number of nodes.

    Returns:
      ``(m,)`` bool.

    >>> nodes, all_rows = jnp.array([2, 0, 2]), jnp.ones(3, bool)
    >>> last_of_each(nodes, jnp.arange(3), all_rows, 3).tolist()
    [False, True, True]
    """
    counted = jnp.where(where, positions, -1)
    last = jax.ops.segment_max(counted, nodes, num_nodes)
    return where & (last[nodes] == counted)


def temporal_memory(
    size: Annotated[int, COUNT],
    *,
    event_features: Annotated[int, COUNT_OR_ZERO] = 0,
    time_features: Annotated[int, COUNT] = 8,
    kernel_init: Callable[..., jax.Array] = GLOROT,
    param_dtype: DTypeLike = jnp.float32,
) -> Memory:
    r"""Memory that a gated recurrent unit changes at every event of a node.

    .. math:: s_u \leftarrow \text{GRU}([s_u, s_v, \cos(w (t - t_u) + b), e],\ s_u)

    for an event of u and v at time t with features e, and the same with u and v
    exchanged. Events of one batch do not see each other: all of them read the memory
    before, and of a node that has several the last one counts. With batches of one
    event it is the sequential update.

    Args:
      size: numbers that a node remembers.
      event_features: size of e.
      time_features: number of cosines.
      kernel_init: initializer of the kernels.
      param_dtype: type of the parameters and of the memory.

    Returns:
      ``Memory(init, start, update)``; ``update(params, state, events, key=None)`` is
      O(b size) for b events, beside one copy of the memory (none where it is donated).
      ``key`` is not used. A train step differentiates through the update of one batch:
      hand it the batch before as pending events, score the present one with the result
      and keep the new state as ``model_state``. Start each epoch from ``start``.

    Raises:
      InputError: an argument is out of range; at the call, sizes do not fit, or a known
        event names a node that does not exist. A traced one changes nothing.

    Source: Rossi et al., "Temporal Graph Networks for Deep Learning on Dynamic Graphs",
    2020 (https://arxiv.org/abs/2006.10637).

    >>> memory = temporal_memory(2)
    >>> params = jax.jit(memory.init)(jax.random.key(0))
    >>> events = Events(jnp.array([0]), jnp.array([2]), jnp.array([1.0]))
    >>> state, _ = jax.jit(memory.update)(params, memory.start(3), events)
    >>> state.last_time.tolist()
    [1.0, 0.0, 1.0]
    """
    given = {n: v for n, v in locals().items() if n != "kernel_init"}
    check_arguments(temporal_memory, given)
    message = 2 * size + time_features + event_features

    def init(key: jax.Array) -> dict[str, jax.Array]:
        keys = [jax.random.fold_in(key, i) for i in range(2)]
        rates = np.logspace(0, -4, time_features)  # periods of 1 to 10000, as in TGN
        return {
            "time_rate": jnp.asarray(rates, param_dtype),
            "time_shift": jnp.zeros(time_features, param_dtype),
            "message": kernel_init(keys[0], (message, 3 * size), param_dtype),
            "memory": kernel_init(keys[1], (size, 3 * size), param_dtype),
            "message_bias": jnp.zeros(3 * size, param_dtype),
            "memory_bias": jnp.zeros(3 * size, param_dtype),
        }

    def start(num_nodes: int) -> MemoryState:
        zeros = jnp.zeros((num_nodes, size), param_dtype)
        return MemoryState(zeros, jnp.zeros(num_nodes, param_dtype))

    def update(
        params: dict[str, jax.Array],
        state: MemoryState,
        events: Events,
        key: jax.Array | None = None,
    ) -> tuple[MemoryState, Changed]:
        del key
        count = state.memory.shape[0]
        _check(events, count, event_features)
        u, v = jnp.asarray(events.sources), jnp.asarray(events.targets)
        exists = (u >= 0) & (u < count) & (v >= 0) & (v < count)
        if events.mask is not None:
            exists &= jnp.asarray(events.mask).astype(bool)
        u, v = jnp.where(exists, u, 0), jnp.where(exists, v, 0)
        both = lambda a: jnp.concatenate([a, a])
        nodes, others = jnp.concatenate([u, v]), jnp.concatenate([v, u])
        times = both(jnp.asarray(events.times).astype(state.last_time.dtype))
        # Padding may hold anything.
        times = jnp.where(both(exists), times, 0)
        old, elapsed = state.memory[nodes], times - state.last_time[nodes]
        rate, shift = (along(params[f"time_{n}"], old) for n in ("rate", "shift"))
        parts = [old, state.memory[others], jnp.cos(elapsed[:, None] * rate + shift)]
        if event_features:
            kept = jnp.where(exists[:, None], jnp.asarray(events.features), 0)
            parts.append(both(kept.astype(old.dtype)))
        new = _gru(params, jnp.concatenate(parts, axis=1), old)
        index = 2 * jnp.arange(u.shape[0])
        positions = jnp.concatenate([index, index + 1])
        where = last_of_each(nodes, positions, both(exists), count)
        classes = jnp.zeros(u.shape, int) if events.classes is None else events.classes
        kinds = both(jnp.asarray(classes))
        changed = Changed(nodes, old, new, times, elapsed, kinds, where)
        return stored(state, changed), changed

    return Memory(init, start, update)


def stored(state: MemoryState, changed: Changed) -> MemoryState:
    """The memory with the rows of an update that count.

    Args:
      state: the memory before.
      changed: the rows.

    Returns:
      The memory after.
    """
    # A row that does not count names no node, and is dropped.
    to = jnp.where(changed.where, changed.nodes, state.memory.shape[0])
    return state._replace(
        memory=state.memory.at[to].set(changed.new, mode="drop"),
        last_time=state.last_time.at[to].set(changed.times, mode="drop"),
    )


def _gru(params: dict[str, jax.Array], x: jax.Array, s: jax.Array) -> jax.Array:
    a = x @ params["message"] + along(params["message_bias"], x)
    b = s @ params["memory"] + along(params["memory_bias"], s)
    (r, z, n), (q, y, m) = (jnp.split(h, 3, axis=1) for h in (a, b))
    keep = jax.nn.sigmoid(z + y)
    return (1 - keep) * jnp.tanh(n + jax.nn.sigmoid(r + q) * m) + keep * s


def _check(events: Events, count: int, features: int) -> None:
    size = np.shape(events.sources)
    if len(size) != 1:
        raise InputError(f"sources must be whole numbers (b,); got {size}")
    wanted: dict[str, tuple[int, ...]] = dict.fromkeys(
        ("targets", "times", "classes", "mask"), size
    )
    wanted["features"] = (*size, features)
    for name, shape in wanted.items():
        value: Any = getattr(events, name)
        optional = name != "features" or not features
        fits = optional if value is None else np.shape(value) == shape
        if not fits:
            found = "None" if value is None else str(np.shape(value))
            raise InputError(f"{name} must have shape {shape}; got {found}")
    counts = None if events.mask is None else known_values(events.mask)
    for name in ("sources", "targets"):
        indices = getattr(events, name)
        if not jnp.issubdtype(jnp.result_type(indices), jnp.integer):
            raise InputError(
                f"{name} must be whole numbers; got {jnp.result_type(indices)}"
            )
        known = known_values(indices)
        if known is not None and (events.mask is None or counts is not None):
            here = known if counts is None else known[counts != 0]
            check_indices(name, here, count, "nodes")
