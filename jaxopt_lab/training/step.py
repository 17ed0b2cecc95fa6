"""The train step: one pure function from a state and a batch to the next state."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import optax
from jax.typing import DTypeLike

from jaxopt_lab.core import trees
from jaxopt_lab.core.argument_checks import check_function, check_transformation
from jaxopt_lab.core.batch_gradients import BatchGrad
from jaxopt_lab.core.batch_parts import Weights
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.loss_checks import train_loss
from jaxopt_lab.core.typing import Batch, Metrics, Params, TrainLossFn, Updates
from jaxopt_lab.training.dry_run import dry_run
from jaxopt_lab.training.fused_apply import FusedApplyRecorder
from jaxopt_lab.training.nonfinite import select_finite
from jaxopt_lab.training.state import TrainState

TrainStep = Callable[[TrainState, Batch], tuple[TrainState, Metrics]]
# measure(grads, updates, params), all before the step
Measure = Callable[[Updates, Updates | None, Params], Metrics]


def make_train_step(
    loss_fn: TrainLossFn,
    tx: optax.GradientTransformation,
    *,
    axis_name: str | None = None,
    micro_batches: int = 1,
    micro_loop: str = "auto",
    skip_nonfinite: bool = False,
    reduce_dtype: DTypeLike | None = None,
    weights: Weights | None = None,
    measure: Measure | None = None,
) -> TrainStep:
    """Make ``step(state, batch) -> (state, metrics)``.

    The step is pure: it may be jitted (donate the state), mapped over devices or seeds,
    scanned and differentiated. It evaluates the loss and its gradient once (the first
    pass), passes the gradient to ``tx`` together with ``grad_fn`` (the gradient at
    other points, same batch and same key), the extra arguments of optax's line searches
    and Polyak steps ``value`` (the loss), ``grad`` (the gradient) and ``value_fn`` (the
    loss at other points), and ``fused_apply``, and applies the updates. Loss, metrics
    and model state are those of the first pass; later passes start from the old model
    state, and their new one is dropped. Gradients of complex parameters are those that
    optax takes, the conjugates of ``jax.grad``.

    Args:
      loss_fn: ``loss_fn(params, model_state, batch, key) -> (loss, (model_state,
        metrics))``; loss and metrics are means over the examples of the batch.
      tx: an optax transformation; sharpness links first in their chain.
      axis_name: axis of ``pmap`` or ``shard_map`` over which gradients, loss,
        metrics and floating model state are averaged; ``None`` under ``jit``, also
        with a sharded batch.
      micro_batches: accumulate the gradient over this many equal parts of the batch,
        for every pass of every link. The same numbers as without, unless the model
        couples the examples (batch statistics) or draws keys (dropout).
      micro_loop: ``"scan"``, ``"unroll"`` or ``"auto"``: unrolled on CPU where the
        loss has convolutions.
      skip_nonfinite: where the loss or a gradient is not finite, keep parameters,
        model state and optimizer state as they were; the metric ``skipped`` is then
        1, otherwise 0.
      reduce_dtype: floating type in which gradients are sent over the axis, such as
        ``"bfloat16"``; ``None``: their own. Half the bytes; each device's gradient is
        rounded once, and their sum. Losses are sent as they are.
      weights: key of the batch, or function of it, that gives the weight of each
        example (or token), such as the mask over which ``loss_fn`` takes its means.
        Micro-batches, shards and devices (those of ``axis_name``; under ``jit`` a mean
        over a sharded mask is right by itself) then count by the sums of their weights.
        Without it each counts the same: a mean over a mask is then another number for
        every division of the batch, and NaN where a part is all padding.
      measure: ``measure(grads, updates, params)`` gives more metrics, such as
        ``step_norms``; the updates are ``None`` where a transformation writes the
        parameters itself.

    Returns:
      The step. Its metrics are ``loss``, those of ``loss_fn`` and of ``measure``.

    Raises:
      InputError: (when traced) the batch is not divisible or has no common leading axis
        where parts of it are needed, a sharpness link stands inside
        ``optax.MultiSteps``, or a metric of ``loss_fn`` is called ``loss``.

    Warns:
      UserWarning: (when traced) a transform stands in front of a sharpness link,
      where it changes the ascent only.

    Gradient evaluations: 1 and those that ``tx`` asks for; for links that work on
    shards the first pass runs on those shards and is not repeated. Memory: one tree
    of gradients (one for each shard with sharded links) and what ``tx`` needs.

    >>> import jax.numpy as jnp
    >>> def loss_fn(params, model_state, batch, key):
    ...     loss = jnp.mean((batch - params) ** 2)
    ...     return loss, (model_state, {})
    >>> from jaxopt_lab.training import init_state
    >>> tx = optax.sgd(0.25)
    >>> state = init_state(tx, jnp.array(0.0), jax.random.key(0))
    >>> step = jax.jit(make_train_step(loss_fn, tx))
    >>> state, metrics = step(state, jnp.array([1.0, 3.0]))
    >>> float(state.params), float(metrics["loss"])
    (1.0, 5.0)
    """
    if micro_batches < 1:
        raise InputError(f"micro_batches must be at least 1; got {micro_batches}")
    check_transformation("tx", tx)
    check_function("loss_fn", loss_fn)
    # MultiSteps takes extra arguments but is no GradientTransformation.
    chain: Any = (
        tx if isinstance(tx, optax.MultiSteps) else optax.with_extra_args_support(tx)
    )

    def step(state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
        usage = dry_run(chain, state.opt_state, state.params)
        key, pass_key = jax.random.split(state.key)

        def evaluate(params: Any, batch: Batch, key: Any, kept: Any) -> Any:
            return train_loss(loss_fn(params, kept, batch, key))

        grad_fn = BatchGrad(
            evaluate,
            batch,
            pass_key,
            axis_name=axis_name,
            micro_batches=micro_batches,
            micro_loop=micro_loop,
            reduce_dtype=reduce_dtype,
            weights=weights,
            model_state=state.model_state,
        )
        (loss, (model_state, metrics)), grads = grad_fn.value_and_grad(
            state.params, usage.num_shards, usage.mode
        )
        if "loss" in metrics:
            raise InputError(
                "a metric of loss_fn is called 'loss', the name of the loss itself"
            )
        fused_apply = FusedApplyRecorder()
        updates, opt_state = chain.update(
            grads,
            state.opt_state,
            state.params,
            grad_fn=grad_fn,
            value=loss,
            grad=trees.ascent_gradient(grads),  # line searches take jax.grad's
            value_fn=grad_fn.value,
            fused_apply=fused_apply,
        )
        params = fused_apply.apply(state.params, updates)
        metrics = {"loss": loss, **metrics}
        if measure is not None:
            added = None if fused_apply.used else updates
            metrics = {**measure(grads, added, state.params), **metrics}
        if skip_nonfinite:
            new = params, model_state, opt_state
            (params, model_state, opt_state), metrics["skipped"] = select_finite(
                loss, grads, updates, new, state[1:4]
            )
        return TrainState(state.step + 1, params, model_state, opt_state, key), metrics

    return step
