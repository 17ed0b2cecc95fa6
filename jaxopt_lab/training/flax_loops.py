"""Gradients for the loops of flax: ``nnx.Optimizer`` and linen's ``TrainState``."""
# Its examples wait for pytest --full.

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import jax
import optax

from jaxopt_lab.core import backward_state
from jaxopt_lab.core.batch_gradients import BatchGrad
from jaxopt_lab.core.gradients import MappedGradFn
from jaxopt_lab.core.typing import Batch, GradFn, Params, Updates

if TYPE_CHECKING:
    from flax import nnx
    from flax.training.train_state import TrainState as LinenTrainState


def nnx_value_and_grad(
    model: nnx.Module,
    loss_fn: Callable[[Any, Batch], jax.Array],
    batch: Batch,
    *,
    wrt: Any = None,
    **options: Any,
) -> tuple[jax.Array, Updates, GradFn]:
    """Loss, gradients and gradient function of an nnx module, for ``nnx.Optimizer``.

    What ``nnx.split`` gives is tied to the module, so that the passes of a method would
    draw different dropout masks and move the statistics several times. Here every pass
    starts from copies of the state as it is now; the new state of the first pass is
    put into ``model``, that of the others dropped.

    Args:
      model: the module; its variables other than the parameters change.
      loss_fn: ``loss_fn(model, batch) -> scalar``, a mean over the examples.
      batch: tree of arrays with a common leading axis, the examples.
      wrt: filter of the parameters, that of the optimizer; default ``nnx.Param``.
      **options: those of ``batch_grad``: ``micro_batches``, ``axis_name``, ...

    Returns:
      ``(loss, gradients, grad_fn)``, for
      ``optimizer.update(model, gradients, grad_fn=grad_fn)``.

    Raises:
      InputError: as ``batch_grad``.

    Gradient evaluations: 1, and those that the optimizer asks for. Memory: no copy of
    an array.

    >>> import jax.numpy as jnp, jaxopt_lab
    >>> from flax import nnx
    >>> model = nnx.Linear(3, 1, rngs=nnx.Rngs(0))
    >>> tx = optax.chain(jaxopt_lab.sam(0.1), optax.sgd(0.1))
    >>> optimizer = nnx.Optimizer(model, tx, wrt=nnx.Param)
    >>> loss_fn = lambda model, x: jnp.mean(model(x) ** 2)
    >>> loss, grads, grad_fn = nnx_value_and_grad(model, loss_fn, jnp.ones((4, 3)))
    >>> _ = optimizer.update(model, grads, grad_fn=grad_fn)
    >>> bool(loss_fn(model, jnp.ones((4, 3))) < loss)
    True
    """
    from flax import nnx

    graphdef, params, rest = nnx.split(model, nnx.Param if wrt is None else wrt, ...)
    # New variables around the same arrays: the module no longer changes them.
    params, rest = jax.tree.map(lambda x: x, (params, rest))
    boxes = jax.tree.structure(params)

    def evaluate(params: Params, batch: Batch, key: Any, rest: Any) -> Any:
        del key  # the module has streams of its own
        copy = nnx.merge(graphdef, params, rest, copy=True)
        loss = loss_fn(copy, batch)
        _, _, new = nnx.split(copy, nnx.Param if wrt is None else wrt, ...)
        return loss, jax.tree.leaves(new, is_leaf=backward_state.is_one)

    inner = BatchGrad(evaluate, batch, model_state=rest, **options)
    (loss, new), grads = inner.value_and_grad(params)
    new = jax.tree.unflatten(jax.tree.structure(rest), jax.tree.leaves(new))
    nnx.update(model, new)
    # The optimizer hands over bare arrays, in a tree without variables.
    grad_fn = MappedGradFn(
        inner,
        on_params=lambda given: boxes.unflatten(jax.tree.leaves(given)),
        on_grads=lambda grads, given: jax.tree.unflatten(
            jax.tree.structure(given), jax.tree.leaves(grads)
        ),
    )
    return loss, grads, grad_fn


def apply_gradients(
    state: LinenTrainState, grads: Updates, **extra: Any
) -> LinenTrainState:
    """``state.apply_gradients`` of linen that hands extra arguments to the optimizer.

    flax takes ``state.apply_gradients(grads=grads, grad_fn=grad_fn)`` for a field of
    the state to replace.

    Args:
      state: a ``flax.training.train_state.TrainState``.
      grads: the gradients.
      **extra: for the optimizer: ``grad_fn``, ``value``, ...

    Returns:
      The new state.

    >>> import jax.numpy as jnp, jaxopt_lab
    >>> from flax.training.train_state import TrainState
    >>> tx = optax.chain(jaxopt_lab.sam(0.5), optax.sgd(0.1))
    >>> w = jnp.array(1.0)
    >>> state = TrainState.create(apply_fn=lambda w, x: w * x, params=w, tx=tx)
    >>> grad_fn = jax.grad(lambda w: state.apply_fn(w, 2.0) ** 2 / 2)
    >>> state = apply_gradients(state, grad_fn(state.params), grad_fn=grad_fn)
    >>> round(float(state.params), 4)  # 1 - 0.1 * 4 * 1.5
    0.4
    """
    tx = optax.with_extra_args_support(state.tx)
    updates, opt_state = tx.update(grads, state.opt_state, state.params, **extra)
    return state.replace(
        step=state.step + 1,
        params=optax.apply_updates(state.params, updates),
        opt_state=opt_state,
    )
