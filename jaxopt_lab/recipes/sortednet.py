"""SortedNet: all prefixes of a network trained at once, a few of them in each step."""
# Its examples wait for pytest --full.

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import jax
import jax.numpy as jnp
import optax

from jaxopt_lab.core import loops
from jaxopt_lab.core.functional import Functional
from jaxopt_lab.core.labels import is_largest
from jaxopt_lab.core.options import COUNT, check_arguments
from jaxopt_lab.core.typing import Batch, Metrics, ModelState, Params
from jaxopt_lab.layers.compression.prefixes import (
    Axes,
    sample_subnetworks,
    sub_networks,
    with_sub_networks,
)
from jaxopt_lab.losses.classification import cross_entropy, to_float
from jaxopt_lab.recipes.roles import check_roles, entries, in_role, train_role
from jaxopt_lab.training.state import TrainState, init_state
from jaxopt_lab.training.step import TrainStep

MODEL = "model"
_DRAWS = 0x50127ED
"""What is folded into the key of a step for its draws of sub-networks."""


def init_sortednet(
    tx: optax.GradientTransformation,
    params: Params,
    key: jax.Array,
    *,
    model_state: ModelState | None = None,
) -> TrainState:
    """A fresh state of ``make_sortednet_step``.

    Args:
      tx: the transformation that trains the network.
      params: initial parameters of the whole network.
      key: typed PRNG key from which the steps draw.
      model_state: its own state; ``None``: it has none.

    Returns:
      A ``TrainState`` whose parameters, model state and optimizer state are dicts of
      the one role ``"model"``.

    >>> sorted(init_sortednet(optax.sgd(0.1), {}, jax.random.key(0)).params)
    ['model']
    """
    return in_role(MODEL, init_state(tx, params, key, model_state))


def make_sortednet_step(
    network: Functional,
    tx: optax.GradientTransformation,
    *,
    axes: Axes | None,
    widths: Sequence[float] = (0.25, 0.5, 0.75, 1.0),
    depths: Sequence[int] | None = None,
    accumulate: Annotated[int | None, COUNT] = 2,
    always_full: bool = False,
    mean: bool = False,
    inputs: str = "image",
    label: str = "label",
    **options: Any,
) -> TrainStep:
    r"""Make ``step(state, batch) -> (state, metrics)`` for nested sub-networks.

    With the cross-entropy L of a batch and n sub-networks b, drawn for each step,

    .. math:: \sum_{j=1}^n L(\theta_{b_j}; x, y), \qquad b_j \sim \mathrm{U}(B),

    whose gradients are added up before one update. B are all products of widths and
    depths; a smaller sub-network is the first part of each larger one, so that the
    trained network is cut to size without further training.

    Args:
      network: its ``apply`` gives logits ``(B, C)``.
      tx: transformation of the gradients.
      axes: the axes of its parameters that widths and depths cut, see
        ``layers.mask_params``; ``None``: its ``apply`` takes ``(x, SubNetwork)``
        itself, so that it can count the active units of a normalization.
      widths: shares of the units, each above 0 and at most 1.
      depths: numbers of blocks; ``None``: always all.
      accumulate: n, sub-networks of a step; ``None``: every one of B, once.
      always_full: the largest of B in place of the last draw.
      mean: divide the sum by n.
      inputs: entry of the batch that the network takes; integers are divided by 255.
      label: entry of the integer labels, ``(B,)``.
      **options: those of ``make_train_step``.

    Returns:
      The step, for states of ``init_sortednet``. Metrics: ``loss``, the sum;
      ``accuracy`` and ``width``, means over the sub-networks of the step.

    Raises:
      InputError: an argument is out of range; when traced, an entry of the batch is
        missing or ``axes`` do not fit the parameters.

    Gradient evaluations: n for each of ``make_train_step``, at full size, since a mask
    saves no operation; ``layers.extract_subnetwork`` does afterwards. With n above 1
    each has one more forward pass, for which the activations of one sub-network at a
    time are kept. The draws are the same for all passes, micro-batches and devices.
    The statistics of batch normalizations go on from one sub-network to the next;
    after training take those of the one that is used on its own. Weight decay
    and Adam's moments act on the units that a step leaves out, too.

    Source: Valipour et al., "SortedNet: A Scalable and Generalized Framework for
    Training Modular Deep Neural Networks", arXiv:2309.00255, from the abstract; there
    is no public code.

    >>> def apply(params, state, x, *, train, key=None):
    ...     return jax.nn.relu(x @ params["in"]) @ params["out"], state
    >>> network = Functional(lambda key: ({}, {}), apply)
    >>> params = {"in": jnp.ones((2, 4)), "out": jnp.ones((4, 2))}
    >>> axes = {"in": (None, "width"), "out": ("width", None)}
    >>> tx = optax.sgd(0.1)
    >>> step = jax.jit(make_sortednet_step(network, tx, axes=axes, widths=(0.5,)))
    >>> state = init_sortednet(tx, params, jax.random.key(0))
    >>> x = {"image": jnp.eye(2), "label": jnp.zeros(2, jnp.int32)}
    >>> state, metrics = step(state, x)
    >>> [bool(moved) for moved in state.params["model"]["out"][:, 0] != 1]
    [True, True, False, False]
    """
    check_arguments(make_sortednet_step, locals())
    candidates = sub_networks(widths, depths)
    model = network if axes is None else with_sub_networks(network, axes)
    n = len(candidates.width) if accumulate is None else accumulate

    def step(state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
        check_roles(state, (MODEL,), "init_sortednet")
        drawn = candidates
        if accumulate is not None:
            key = jax.random.fold_in(state.key, _DRAWS)
            drawn = sample_subnetworks(key, candidates, n, always_full=always_full)

        def loss_fn(
            params: Params, states: Any, batch: Batch, key: jax.Array, /
        ) -> tuple[jax.Array, tuple[ModelState, Metrics]]:
            x, labels = entries(batch, inputs, label)
            x = to_float(x)

            def one(item: Any, kept: ModelState) -> tuple[Metrics, ModelState]:
                sub, key = item
                logits, kept = model.apply(params, kept, (x, sub), train=True, key=key)
                loss = jnp.mean(cross_entropy(logits, labels))
                right = is_largest(logits, labels)
                found = {"loss": loss, "accuracy": jnp.mean(right.astype(loss.dtype))}
                return {**found, "width": sub.width.astype(loss.dtype)}, kept

            items = drawn, _keys(key, n)
            kept, mode = states[MODEL], "unroll"
            if n > 1:
                mode = loops.choose("scan", one, loops.take(items, 0), kept)
                one = jax.checkpoint(one)
            found, kept = loops.mean_in_sequence(one, items, kept, mode)
            loss = found.pop("loss")
            if not mean:
                loss = loss * jnp.asarray(n, loss.dtype)
            return loss, ({**states, MODEL: kept}, found)

        return train_role(MODEL, loss_fn, tx, state, batch, **options)

    return step


def _keys(key: jax.Array, n: int) -> jax.Array:
    """A key for each sub-network of a step; the first one's is the step's own."""
    others = jnp.arange(1, n, dtype=jnp.int32)
    folded = jax.vmap(jax.random.fold_in, (None, 0))(key, others)
    return jnp.concatenate([key[None], folded])
