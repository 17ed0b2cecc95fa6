"""Data-parallel train steps in three styles: jit, shard_map, pmap."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Literal

import jax
import optax
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P
from jax.typing import DTypeLike

from jaxopt_lab.core.batch_parts import Weights
from jaxopt_lab.core.errors import InputError, unknown
from jaxopt_lab.core.meshes import DATA_AXIS, check_batch
from jaxopt_lab.core.typing import Batch, TrainLossFn
from jaxopt_lab.training.state import TrainState
from jaxopt_lab.training.step import Measure, TrainStep, make_train_step
from jaxopt_lab.training.zero import make_zero_step

Style = Literal["jit", "shard_map", "pmap"]
STYLES: tuple[Style, ...] = ("jit", "shard_map", "pmap")


def make_parallel_step(
    loss_fn: TrainLossFn,
    tx: optax.GradientTransformation,
    mesh: Mesh,
    shardings: TrainState,
    *,
    style: Style = "jit",
    per_device: bool | None = None,
    micro_batches: int = 1,
    micro_loop: str = "auto",
    skip_nonfinite: bool = False,
    elementwise: bool = False,
    reduce_dtype: DTypeLike | None = None,
    storage: TrainState | None = None,
    weights: Weights | None = None,
    measure: Measure | None = None,
) -> TrainStep:
    """The step of ``make_train_step`` with the batch cut over the axis ``"data"``.

    Three styles, the same numbers wherever the mean over the batch is the mean over
    the devices' means:

    * ``"jit"``: one global program; the compiler places the collectives. The only
      style for parameters that are themselves sharded.
    * ``"shard_map"``: each device computes on its own part, collectives are explicit.
    * ``"pmap"``: the same, in jax's classic form.

    ``per_device`` says whether the gradient is that of each device's part by itself,
    averaged afterwards. In style jit this is a ``vmap`` over the parts, whose leading
    axis is sharded over the devices: perturbations of ``sync="local"`` are then local,
    batch statistics too, micro-batches are accumulated before anything is sent (a scan
    over micro-batches in plain jit sends the gradient once for each), and gradients
    travel in the parameters' type (plain jit sends those of bfloat16 products in
    bfloat16).

    Args:
      loss_fn: as in ``make_train_step``. Models with batch statistics must average
        them over the axis ``"data"`` themselves where they are to be global and
        ``per_device`` holds.
      tx: an optax transformation.
      mesh: a mesh with an axis ``"data"``; the batch is cut over it.
      shardings: of the state during a step, from ``state_shardings``.
      style: one of the three.
      per_device: ``None``: in style jit where ``micro_batches > 1`` or gradients are
        sent in another type, and in the others always. ``False`` is for style jit
        alone.
      micro_batches: parts of each device's batch, as in ``make_train_step``.
      micro_loop: as in ``make_train_step``.
      skip_nonfinite: as in ``make_train_step``.
      elementwise: ``tx`` treats every element of a parameter by itself. Needed in
        style shard_map with an optimizer state that is divided over ``"data"``: each
        device then updates its own part (``make_zero_step``), by reduce-scatter and
        all-gather; any norm, basis or selection would be silently wrong.
      reduce_dtype: as in ``make_train_step``; only where gradients are per device.
      storage: shardings of the state between steps, from ``storage_shardings``;
        ``None``: those of ``shardings``. For style jit.
      weights: as in ``make_train_step``; the devices count by them too.
      measure: as in ``make_train_step``; not where each device updates its own part.

    Returns:
      ``step(state, batch) -> (state, metrics)`` of whole, global arrays; to be jitted
      in styles jit and shard_map, called as it is in style pmap.

    Raises:
      InputError: an unknown style, a mesh without the axis ``"data"``, a style that
        cannot have this mesh or these shardings; (when traced) a batch that does not
        divide, with the leaf and its shape.

    Communication: for each parameter the all-reduce of its gradient once for each
    gradient at a place of its own: SAM's two with ``sync="global"``, one with
    ``"local"``. Dropout keys differ between the styles: a device folds its number in.
    """
    _check_style(style, mesh, shardings, per_device, elementwise, storage)
    local = per_device
    if local is None:
        local = style != "jit" or micro_batches > 1 or reduce_dtype is not None
    if reduce_dtype is not None and not local:
        raise InputError(
            f"reduce_dtype={reduce_dtype} needs per_device=True: in plain jit the "
            "compiler chooses the type of what it sends"
        )
    devices = mesh.shape[DATA_AXIS]
    local = local and devices > 1
    options: dict[str, Any] = {
        "micro_batches": micro_batches,
        "micro_loop": micro_loop,
        "skip_nonfinite": skip_nonfinite,
        "reduce_dtype": reduce_dtype,
        "weights": weights,
    }
    step = make_train_step(
        _with_placed_params(loss_fn, shardings) if style == "jit" else loss_fn,
        tx,
        axis_name=DATA_AXIS if local else None,
        measure=measure,
        **options,
    )
    if devices == 1 and style != "jit":
        return step
    if style == "jit":
        step = _per_device_vmap(step, mesh) if local else step
        run = _with_shardings(step, shardings, storage)
    elif style == "pmap":
        run = _pmapped(step, mesh)
    elif _is_divided(shardings.opt_state):
        run = make_zero_step(loss_fn, tx, mesh, shardings, **options)
    else:
        specs = (P(), P(DATA_AXIS))
        run = jax.shard_map(step, mesh=mesh, in_specs=specs, out_specs=(P(), P()))

    def checked(state: TrainState, batch: Batch) -> Any:
        check_batch(batch, devices)
        return run(state, batch)

    return checked


def _is_divided(shardings: Any) -> bool:
    return not all(s.is_fully_replicated for s in jax.tree.leaves(shardings))


def _check_style(
    style: str,
    mesh: Mesh,
    shardings: TrainState,
    per_device: bool | None,
    elementwise: bool,
    storage: TrainState | None,
) -> None:
    """Refuse a style that cannot have this mesh, these shardings or options."""
    if style not in STYLES:
        raise unknown("style", style, STYLES)
    if DATA_AXIS not in mesh.shape:
        raise InputError(
            f"the batch is cut over the mesh axis {DATA_AXIS!r}; the axes are "
            + ", ".join(mesh.axis_names)
        )
    if style == "jit":
        return
    if per_device is False:
        raise InputError(f"style={style} always computes per device")
    _refuse_sharded(style, mesh, shardings, elementwise)
    if storage is not None:
        raise InputError(f"style={style} keeps its state where it computes with it")


def _with_placed_params(loss_fn: TrainLossFn, shardings: TrainState) -> TrainLossFn:
    """The loss with its parameters constrained to their shardings at every call.

    Perturbed parameters would otherwise inherit the sharding of a divided
    perturbation, and the model would run on sharded weights, with all-to-alls.
    """

    def placed(params: Any, *rest: Any) -> Any:
        return loss_fn(constrained(params, shardings.params), *rest)

    return placed


def constrained(tree: Any, shardings: Any) -> Any:
    """A tree constrained to shardings, also inside of a group of devices.

    Inside of such a group (``seeds.each_group``) the context mesh has a manual axis;
    a sharding on the outer mesh would not match the other arrays there.
    """
    if jax.sharding.get_abstract_mesh().manual_axes:
        shardings = jax.tree.map(lambda s: s.spec, shardings)
    return jax.lax.with_sharding_constraint(tree, shardings)


def _refuse_sharded(
    style: str, mesh: Mesh, shardings: TrainState, elementwise: bool
) -> None:
    if mesh.size != mesh.shape[DATA_AXIS]:
        raise InputError(
            f"style={style} takes a mesh of the one axis {DATA_AXIS!r}; this one has "
            f"{', '.join(mesh.axis_names)}. Use style=jit"
        )
    divisible = elementwise and style == "shard_map"
    kept = shardings._replace(opt_state=()) if divisible else shardings
    if not all(s.is_fully_replicated for s in jax.tree.leaves(kept)):
        raise InputError(
            f"style={style} with a sharded state: norms, bases and selections of the "
            "optimizer would see their part and not the whole, without any error. Use "
            "style=jit; or style=shard_map with elementwise=True for an optimizer that "
            "treats every element by itself"
        )


def _per_device_vmap(step: TrainStep, mesh: Mesh) -> TrainStep:
    devices = mesh.shape[DATA_AXIS]

    def run(state: TrainState, batch: Batch) -> Any:
        def cut(x: jax.Array) -> jax.Array:
            x = x.reshape(devices, x.shape[0] // devices, *x.shape[1:])
            return constrained(x, NamedSharding(mesh, P(DATA_AXIS)))

        mapped = jax.vmap(
            step,
            in_axes=(None, 0),
            out_axes=None,
            axis_name=DATA_AXIS,
            spmd_axis_name=DATA_AXIS,
        )
        return mapped(state, jax.tree.map(cut, batch))

    return run


def _with_shardings(
    step: TrainStep, compute: TrainState, storage: TrainState | None
) -> TrainStep:
    """The step between states in ``storage``, or in ``compute`` where that is None."""

    def run(state: TrainState, batch: Batch) -> Any:
        if storage is not None:
            state = constrained(state, compute)
        state, metrics = step(state, batch)
        state = constrained(state, compute)
        if storage is not None:
            state = constrained(state, storage)
        return state, metrics

    return run


def _pmapped(step: TrainStep, mesh: Mesh) -> Callable[..., Any]:
    devices = mesh.shape[DATA_AXIS]

    @functools.partial(
        jax.pmap,
        axis_name=DATA_AXIS,
        in_axes=(None, 0),
        out_axes=None,
        devices=list(mesh.devices.flat),
    )
    def run(state: TrainState, batch: Batch) -> Any:
        return step(state, batch)

    def cut(x: jax.Array) -> jax.Array:
        return x.reshape(devices, x.shape[0] // devices, *x.shape[1:])

    return lambda state, batch: run(state, jax.tree.map(cut, batch))
