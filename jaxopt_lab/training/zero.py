"""ZeRO, stage 1, with explicit collectives, for elementwise optimizers."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P
from jax.typing import DTypeLike

from jaxopt_lab.core import trees
from jaxopt_lab.core.batch_gradients import BatchGrad
from jaxopt_lab.core.batch_parts import Weights, share, weighed
from jaxopt_lab.core.devices import narrowed, pmean
from jaxopt_lab.core.meshes import DATA_AXIS
from jaxopt_lab.core.typing import Batch, Metrics, ModelState, Params, TrainLossFn
from jaxopt_lab.training.sharding import divided
from jaxopt_lab.training.state import TrainState
from jaxopt_lab.training.step import TrainStep


def make_zero_step(
    loss_fn: TrainLossFn,
    tx: optax.GradientTransformation,
    mesh: Mesh,
    shardings: TrainState,
    *,
    micro_batches: int = 1,
    micro_loop: str = "auto",
    skip_nonfinite: bool = False,
    reduce_dtype: DTypeLike | None = None,
    weights: Weights | None = None,
) -> TrainStep:
    """A step in which each device updates its own part of every parameter.

    With n devices: the gradients are reduce-scattered, ``tx`` sees a slice of
    gradient, state and parameter, and the new slices are gathered. This is correct if
    ``tx`` is elementwise; a norm, a basis or a selection would silently be that of the
    slice.

    Args:
      loss_fn: as in ``make_train_step``.
      tx: an elementwise transformation that asks for no gradients elsewhere.
      mesh: a mesh of the one axis ``"data"``.
      shardings: from ``state_shardings(..., zero_axis="data")``.
      micro_batches: as in ``make_train_step``.
      micro_loop: as in ``make_train_step``.
      skip_nonfinite: as in ``make_train_step``.
      reduce_dtype: as in ``make_train_step``; parameters are gathered as they are.
      weights: as in ``make_train_step``.

    Returns:
      The step, to be jitted.

    Communication: (n - 1) / n times 8 bytes a float32 parameter, as much as one
    all-reduce. Memory: 1 / n of the optimizer state on each device, and the whole
    parameters and gradients. Parameters without an axis that divides by n are updated
    on every device.
    """
    chain = optax.with_extra_args_support(tx)
    devices = mesh.shape[DATA_AXIS]

    def step(state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
        key, pass_key = jax.random.split(state.key)

        def evaluate(params: Params, batch: Batch, key: Any, kept: ModelState) -> Any:
            return loss_fn(params, kept, batch, key)

        grad_fn = BatchGrad(
            evaluate,
            batch,
            jax.random.fold_in(pass_key, jax.lax.axis_index(DATA_AXIS)),
            micro_batches=micro_batches,
            micro_loop=micro_loop,
            weights=weights,
            model_state=state.model_state,
        )
        own = grad_fn.weight()
        (loss, (model_state, metrics)), grads = weighed(
            grad_fn.value_and_grad(state.params), share(own, pmean(own, DATA_AXIS), 1)
        )
        loss, model_state, metrics = pmean((loss, model_state, metrics), DATA_AXIS)
        axes = [_axis(p, mesh) for p in jax.tree.leaves(state.params)]
        own_grads = _each(_scattered, axes, grads)
        own_params = _each(_sliced, axes, state.params)
        updates, opt_state = chain.update(
            own_grads, state.opt_state, own_params, value=loss
        )
        new_params = optax.apply_updates(own_params, updates)
        metrics = {"loss": loss, **metrics}
        if skip_nonfinite:
            finite = jnp.isfinite(loss) & jnp.isfinite(trees.global_norm(own_grads))
            finite &= jnp.isfinite(trees.global_norm(updates))
            everywhere = jax.lax.pmin(finite.astype(jnp.int32), DATA_AXIS) == 1
            new_params, model_state, opt_state = trees.select(
                everywhere,
                (new_params, model_state, opt_state),
                (own_params, state.model_state, state.opt_state),
            )
            metrics["skipped"] = 1 - everywhere.astype(loss.dtype)
        params = _each(_gathered, axes, new_params)
        return TrainState(state.step + 1, params, model_state, opt_state, key), metrics

    def _scattered(axis: int | None, g: jax.Array) -> jax.Array:
        if axis is None:
            return pmean(g, DATA_AXIS, reduce_dtype)
        total = jax.lax.psum_scatter(
            narrowed(g, reduce_dtype), DATA_AXIS, scatter_dimension=axis, tiled=True
        )
        return total.astype(g.dtype) / devices

    def _sliced(axis: int | None, p: jax.Array) -> jax.Array:
        if axis is None:
            return p
        size = p.shape[axis] // devices
        start = jax.lax.axis_index(DATA_AXIS) * size
        return jax.lax.dynamic_slice_in_dim(p, start, size, axis)

    def _gathered(axis: int | None, p: jax.Array) -> jax.Array:
        if axis is None:
            return p
        return jax.lax.all_gather(p, DATA_AXIS, axis=axis, tiled=True)

    specs = jax.tree.map(
        lambda s: s.spec, shardings, is_leaf=lambda x: isinstance(x, NamedSharding)
    )
    # check_vma would treat the results of all_gather as different on every device.
    return jax.shard_map(
        step,
        mesh=mesh,
        in_specs=(specs, P(DATA_AXIS)),
        out_specs=(specs, P()),
        check_vma=False,
    )


def _axis(p: jax.Array, mesh: Mesh) -> int | None:
    """The axis of a parameter that ``state_specs`` divides for ``zero_axis="data"``."""
    entries = tuple(divided(p.shape, P(), mesh, DATA_AXIS))
    return entries.index(DATA_AXIS) if DATA_AXIS in entries else None


def _each(f: Any, axes: list[int | None], tree: Any) -> Any:
    leaves, structure = jax.tree.flatten(tree)
    return structure.unflatten([f(a, x) for a, x in zip(axes, leaves, strict=True)])
