"""Experience replay: every batch beside random examples of a memory of past ones."""
# Its examples wait for pytest --full.

from __future__ import annotations

from typing import Annotated, Any

import jax
import jax.numpy as jnp
import optax

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.functional import Functional
from jaxopt_lab.core.labels import is_largest
from jaxopt_lab.core.numbers import known_number
from jaxopt_lab.core.options import COUNT_OR_ZERO, NON_NEGATIVE, check_arguments
from jaxopt_lab.core.shapes import refuse_empty
from jaxopt_lab.core.typing import Batch, Metrics, ModelState, Params, Scalar
from jaxopt_lab.losses.classification import cross_entropy
from jaxopt_lab.recipes.replay_memory import (
    Memory,
    check_fits,
    empty_memory,
    joined,
    remember,
    weighted_mean,
    with_recalled,
)
from jaxopt_lab.recipes.roles import check_roles, entries, in_role, train_role
from jaxopt_lab.training.state import TrainState, init_state
from jaxopt_lab.training.step import TrainStep

MODEL, MEMORY = "model", "memory"
_BATCHES = 8
RECALL, _REMEMBER = 1, 2
"""Folded into the key of a step, whose own draws stay those of a plain one."""


def init_replay(
    tx: optax.GradientTransformation,
    params: Params,
    key: jax.Array,
    memory: Memory,
    *,
    model_state: ModelState | None = None,
) -> TrainState:
    """A fresh state of ``make_replay_step``.

    Args:
      tx: the transformation that trains the model.
      params: its initial parameters.
      key: typed PRNG key from which the steps draw.
      memory: from ``empty_memory`` or ``fixed_memory``.
      model_state: the model's own state; ``None``: it has none.

    Returns:
      A ``TrainState`` of the one role ``"model"``, whose model states are ``"model"``
      and ``"memory"``.

    >>> memory = empty_memory({"image": jnp.ones((1, 2)), "label": jnp.zeros(1)}, 4)
    >>> state = init_replay(optax.sgd(0.1), {}, jax.random.key(0), memory)
    >>> sorted(state.model_state)
    ['memory', 'model']
    """
    return in_role(MODEL, init_state(tx, params, key, model_state), {MEMORY: memory})


def with_memory(
    model_state: ModelState, batch: Batch, *, capacity: int | None = None
) -> dict[str, Any]:
    """The model states of ``make_replay_step``, with an empty memory.

    Args:
      model_state: of the model.
      batch: the first batch.
      capacity: examples; ``None``: 8 batches.

    Returns:
      ``"model"`` and ``"memory"``.

    >>> with_memory({}, {"label": jnp.arange(3)})["memory"].examples["label"].shape
    (24,)
    """
    count = jax.tree.leaves(batch)[0].shape[0]
    places = _BATCHES * count if capacity is None else capacity
    return {MODEL: model_state, MEMORY: empty_memory(batch, places)}


def make_replay_step(
    network: Functional,
    tx: optax.GradientTransformation,
    *,
    weight: Annotated[Scalar, NON_NEGATIVE] = 1.0,
    replayed: Annotated[int, COUNT_OR_ZERO] = 0,
    store: bool = True,
    inputs: str = "image",
    label: str = "label",
    **options: Any,
) -> TrainStep:
    r"""Make ``step(state, batch) -> (state, metrics)`` with a memory.

    With n examples of the batch and m drawn from the memory with replacement, in one
    pass of the network, the loss is

    .. math::
        \frac{\sum_i \mathrm{CE}_i + w \sum_j \mathrm{CE}_j}{n + w m},

    that of their union for w = 1, and of the batch alone while the memory is empty.
    Then the batch is offered to the memory, a reservoir.

    Args:
      network: its ``apply`` gives logits ``(B, C)``; batch statistics are those of both
        sets.
      tx: transformation of its gradients.
      weight: w; the Python number 0 leaves the memory out of the pass.
      replayed: m; 0: as many as the batch has, which micro-batches need.
      store: whether the batch is offered to the memory, by reservoir sampling; not for
        a memory of chosen exemplars.
      inputs: entry of the batch that the model takes; integers are divided by 255.
      label: entry of the integer labels, ``(B,)``.
      **options: those of ``make_train_step``, but for ``axis_name``: every device would
        keep a memory of its own. Under ``jit`` the batch may be sharded.

    Returns:
      The step, for states of ``init_replay``. Metrics: ``loss``; ``accuracy``, of the
      batch; and, unless the weight is 0, ``replay_accuracy``, 0 while the memory is
      empty.

    Raises:
      InputError: an option is out of range; when traced, an entry is missing or the
        state has no memory.

    Gradient evaluations: those of ``make_train_step``, of n + m examples. Memory: the
    examples that are kept.

    >>> def apply(params, state, x, *, train, key=None):
    ...     return x @ params, state
    >>> network = Functional(lambda key: (jnp.zeros((2, 2)), {}), apply)
    >>> tx, batch = optax.sgd(0.1), {"image": jnp.eye(2), "label": jnp.arange(2)}
    >>> memory = empty_memory(batch, capacity=3)
    >>> state = init_replay(tx, jnp.eye(2), jax.random.key(0), memory)
    >>> state, _ = jax.jit(make_replay_step(network, tx))(state, batch)
    >>> state.model_state["memory"].examples["label"].tolist()
    [0, 1, 0]

    Source: Chaudhry et al., "On Tiny Episodic Memories in Continual Learning",
    arXiv:1902.10486; the reservoir of Vitter 1985.
    """
    check_arguments(make_replay_step, locals())
    refuse_axis(options)
    alone = known_number(weight) == 0

    def loss_fn(
        params: Params, states: Any, batch: Batch, key: jax.Array, /
    ) -> tuple[jax.Array, tuple[ModelState, Metrics]]:
        x, labels, weights = joined(batch, inputs, label)
        logits, kept = network.apply(params, states[MODEL], x, train=True, key=key)
        losses = cross_entropy(logits, labels)
        metrics = accuracies(logits, labels, weights, batch[label].shape[0])
        loss = weighted_mean(losses, weights)
        metrics = {name: x.astype(loss.dtype) for name, x in metrics.items()}
        return loss, ({**states, MODEL: kept}, metrics)

    def step(state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
        check_roles(state, (MODEL,), "init_replay")
        memory = memory_of(state, "init_replay", batch)
        whole = batch
        if not alone:
            key = jax.random.fold_in(state.key, RECALL)
            whole = with_recalled(key, memory, batch, weight, replayed)
        after, metrics = train_role(MODEL, loss_fn, tx, state, whole, **options)
        return stored(state.key, after, batch) if store else after, metrics

    return step


def refuse_axis(options: Any) -> None:
    """Refuse a mapped axis of devices, each of which would keep its own memory.

    Args:
      options: of ``make_train_step``.

    Raises:
      InputError: there is one.
    """
    if options.get("axis_name") is not None:
        raise InputError(
            "axis_name must be None, since every device would keep a memory of its "
            f"own; got {options['axis_name']!r} (jit divides the batch by sharding)"
        )


def memory_of(state: TrainState, made_by: str, batch: Batch) -> Memory:
    """The memory in a state.

    Args:
      state: the state.
      made_by: name of the function that makes such states.
      batch: that it stands beside.

    Returns:
      The memory.

    Raises:
      InputError: there is none, or the batch has no example or not its entries.
    """
    states: Any = state.model_state
    if not isinstance(states, dict) or not isinstance(states.get(MEMORY), Memory):
        raise InputError(f"the state has no memory: make it with {made_by}")
    memory = states[MEMORY]
    given = offered(memory, batch)
    for name, x in given.items():
        refuse_empty(f"{name!r}", x)
    check_fits(memory, given)
    return memory


def offered(memory: Memory, batch: Batch) -> Batch:
    """The entries of a batch that a memory keeps."""
    return dict(zip(memory.examples, entries(batch, *memory.examples), strict=True))


def stored(key: jax.Array, state: TrainState, batch: Batch) -> TrainState:
    """The state with a batch offered to its memory.

    Args:
      key: that of the step.
      state: after the step.
      batch: the batch.

    Returns:
      The state.
    """
    states: Any = state.model_state
    memory = states[MEMORY]
    own = jax.random.fold_in(key, _REMEMBER)
    after = remember(own, memory, offered(memory, batch))
    return state._replace(model_state={**states, MEMORY: after})


def accuracies(
    logits: jax.Array, labels: jax.Array, weights: jax.Array | None, count: int
) -> Metrics:
    """Shares of right answers in a batch and among the recalled examples.

    Args:
      logits: ``(n, C)``.
      labels: ``(n,)``.
      weights: ``(n,)``, those of ``joined``.
      count: examples of the batch, which come first.

    Returns:
      ``accuracy`` and, with weights, ``replay_accuracy``.

    >>> sorted(accuracies(jnp.eye(2), jnp.arange(2), jnp.ones(2), 1))
    ['accuracy', 'replay_accuracy']
    """
    right = is_largest(logits, labels)
    right = right.astype(logits.dtype)
    found = {"accuracy": jnp.mean(right[:count])}
    if weights is not None:
        there = (weights[count:] > 0).astype(right.dtype)
        found["replay_accuracy"] = jnp.mean(right[count:] * there)
    return found
