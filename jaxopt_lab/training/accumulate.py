"""Steps over a number of micro-batches that may change from one step to the next."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxopt_lab.core import trees
from jaxopt_lab.core.argument_checks import check_function, check_transformation
from jaxopt_lab.core.batch_gradients import BatchGrad
from jaxopt_lab.core.devices import pmean, varying
from jaxopt_lab.core.loss_checks import train_loss
from jaxopt_lab.core.typing import Batch, Metrics, Params, TrainLossFn
from jaxopt_lab.training.parallel import constrained
from jaxopt_lab.training.state import TrainState
from jaxopt_lab.training.step import Measure

OfEntries = Callable[[Any, Any, jax.Array, int], Metrics]


class Accumulated(NamedTuple):
    """Sums over the micro-batches of a step so far.

    Attributes:
      count: int32, micro-batches.
      loss: sum of their losses.
      squares: sum of the squared norms of their gradients.
      grads: sum of their gradients, in the types of the parameters.
      entry_squares: sum of the squares of their entries, in float32 or wider; ``()``
        where nothing is measured of them.
    """

    count: jax.Array
    loss: jax.Array
    squares: jax.Array
    grads: Any
    entry_squares: Any = ()


class Accumulation(NamedTuple):
    """A step in parts, each compiled once whatever their number.

    Attributes:
      init: ``init(params) -> Accumulated``.
      add: ``add(state, accumulated, batch) -> (state, accumulated)``, a micro-batch of
        one fixed shape; of the state, model state and key move on.
      apply: ``apply(state, accumulated) -> (state, metrics)``, the optimizer's step.
    """

    init: Callable[[Params], Accumulated]
    add: Callable[[TrainState, Accumulated, Batch], tuple[TrainState, Accumulated]]
    apply: Callable[[TrainState, Accumulated], tuple[TrainState, Metrics]]


def make_accumulation(
    loss_fn: TrainLossFn,
    tx: optax.GradientTransformation,
    *,
    micro_batch: int = 1,
    axis_name: str | None = None,
    measure: Measure | None = None,
    of_entries: OfEntries | None = None,
) -> Accumulation:
    r"""Make a step that a batch-size controller lets grow without a new program.

    ``add`` runs as often as the controller's ``accumulation`` says, then ``apply``
    once. The metrics have the statistics that the controllers of the batch read: with
    the gradients :math:`m_i` of n micro-batches of s examples,

    .. math:: |\mathrm{var}|_1 = s \, \frac{\sum_i |m_i|^2 - n |\bar m|^2}{n - 1}.

    Args:
      loss_fn: as for ``make_train_step``; its own metrics are dropped.
      tx: an optax transformation that asks for no other gradients.
      micro_batch: s, examples of a micro-batch on one device.
      axis_name: axis of devices over which each micro-batch is divided; its parts count
        as micro-batches of their own, and two scalars beside the gradient are sent.
      measure: as in ``make_train_step``.
      of_entries: ``of_entries(means, mean_squares, n, s)``, metrics of the gradient's
        entries over n micro-batches of s examples, such as the ratio that
        ``coordinate_test`` reads. It costs another tree like the gradients, which is
        sent between devices as well.

    Returns:
      The three functions; all are pure and may be jitted.

    Raises:
      InputError: ``loss_fn`` or ``tx`` is none.

    Memory: a tree of gradients. With one micro-batch, and one device, the variance is 0
    and says nothing: start with two.

    >>> def loss_fn(params, model_state, batch, key):
    ...     return jnp.mean((batch - params) ** 2), (model_state, {})
    >>> from jaxopt_lab.training import init_state
    >>> init, add, apply = make_accumulation(loss_fn, optax.sgd(0.25))
    >>> state = init_state(optax.sgd(0.25), jnp.array(0.0), jax.random.key(0))
    >>> sums = init(state.params)
    >>> for x in (1.0, 3.0):
    ...     state, sums = add(state, sums, jnp.array([x]))
    >>> state, metrics = apply(state, sums)
    >>> float(state.params), float(metrics["variance"]), int(metrics["batch"])
    (1.0, 8.0, 2)
    """
    check_transformation("tx", tx)
    check_function("loss_fn", loss_fn)
    chain = optax.with_extra_args_support(tx)

    def init(params: Params) -> Accumulated:
        zero = jnp.zeros((), trees.scalar_dtype(params))
        zeros = jax.tree.map(jnp.zeros_like, params)
        entries: Any = ()
        if of_entries is not None:
            entries = jax.tree.map(lambda p: jnp.zeros(jnp.shape(p), _wide(p)), params)
        return Accumulated(jnp.zeros((), jnp.int32), zero, zero, zeros, entries)

    def add(state: TrainState, sums: Accumulated, batch: Batch) -> Any:
        key, pass_key = jax.random.split(state.key)
        if axis_name is not None:
            pass_key = jax.random.fold_in(pass_key, jax.lax.axis_index(axis_name))

        def evaluate(params: Any, batch: Any, key: Any, kept: Any) -> Any:
            return train_loss(loss_fn(params, kept, batch, key))

        grad_fn = BatchGrad(evaluate, batch, pass_key, model_state=state.model_state)
        own = varying(state.params, axis_name)
        (loss, aux), grads = grad_fn.value_and_grad(own)
        square = trees.global_norm(grads).astype(sums.squares.dtype) ** 2
        entries: Any = ()
        if of_entries is not None:
            entries = jax.tree.map(lambda g: g.astype(_wide(g)) ** 2, grads)
        found = (loss.astype(sums.loss.dtype), square, grads, aux[0], entries)
        loss, square, grads, model_state, entries = pmean(found, axis_name)
        after = Accumulated(
            sums.count + 1,
            sums.loss + loss,
            sums.squares + square,
            jax.tree.map(jnp.add, sums.grads, grads),
            jax.tree.map(jnp.add, sums.entry_squares, entries),
        )
        return state._replace(model_state=model_state, key=key), after

    def apply(state: TrainState, sums: Accumulated) -> tuple[TrainState, Metrics]:
        dtype = sums.loss.dtype
        n = sums.count.astype(dtype)
        mean = jax.tree.map(lambda g: g / n.astype(_real(g)), sums.grads)
        square = trees.global_norm(mean).astype(dtype) ** 2
        parts = n
        if axis_name is not None:
            parts = n * jnp.asarray(jax.lax.axis_size(axis_name), dtype)
        # The sum of squares over all parts is the mean over devices, n times theirs.
        spread = jnp.maximum(sums.squares / n - square, 0)
        size = jnp.asarray(micro_batch, dtype)
        updates, opt_state = chain.update(
            mean, state.opt_state, state.params, value=sums.loss / n
        )
        params = optax.apply_updates(state.params, updates)
        metrics = {
            "loss": sums.loss / n,
            "variance": size * spread * parts / jnp.maximum(parts - 1, 1),
            "grad_norm_sq": square,
            "batch": size * parts,
        }
        if of_entries is not None:
            squares = jax.tree.map(lambda s: s / n.astype(s.dtype), sums.entry_squares)
            metrics |= of_entries(mean, squares, parts, micro_batch)
        if measure is not None:
            metrics = {**measure(mean, updates, state.params), **metrics}
        after = state._replace(step=state.step + 1, params=params, opt_state=opt_state)
        return after, metrics

    return Accumulation(init, add, apply)


def on_mesh(
    parts: Accumulation, compute: TrainState, storage: TrainState | None = None
) -> Accumulation:
    """The same step on devices that divide each micro-batch, placed by the compiler.

    Args:
      parts: made without an axis of devices; its batches are sharded over the axis
        ``"data"``.
      compute: shardings of the state during the optimizer's step.
      storage: of the state between the parts; ``None``: the same.

    Returns:
      The three functions; what they give is always placed alike.
    """
    kept = compute if storage is None else storage

    def placed(sums: Accumulated) -> Accumulated:
        sums = sums._replace(grads=constrained(sums.grads, compute.params))
        if not jax.tree.leaves(sums.entry_squares):
            return sums
        entries = constrained(sums.entry_squares, compute.params)
        return sums._replace(entry_squares=entries)

    def add(state: TrainState, sums: Accumulated, batch: Batch) -> Any:
        state, sums = parts.add(state, sums, batch)
        model_state = constrained(state.model_state, kept.model_state)
        return state._replace(model_state=model_state), placed(sums)

    def apply(state: TrainState, sums: Accumulated) -> Any:
        state, metrics = parts.apply(constrained(state, compute), sums)
        return constrained(constrained(state, compute), kept), metrics

    return Accumulation(lambda params: placed(parts.init(params)), add, apply)


def _wide(x: Any) -> Any:
    return trees.accumulation_dtype(jnp.result_type(x))


def _real(x: jax.Array) -> Any:
    return jnp.finfo(x.dtype).dtype
