"""Shapes and shardings of a train state and a batch."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import optax
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from jaxopt_lab.core.meshes import DATA_AXIS
from jaxopt_lab.lab import methods
from jaxopt_lab.lab.plan.kept import local_bytes
from jaxopt_lab.lab.plan.planned_model import PlannedModel
from jaxopt_lab.training import init_state
from jaxopt_lab.training.sharding import divided, state_specs, storage_shardings
from jaxopt_lab.training.sharding_rules import param_specs
from jaxopt_lab.training.state import TrainState


class Layout(NamedTuple):
    """A train state and a batch by shape and sharding.

    Attributes:
      mesh: the mesh.
      state: shapes of the state.
      storage: its shardings between two steps.
      compute: its shardings in a step.
      batch: shapes of the batch, with shardings.
      gathered: shardings of the parameters while they are used, if not the stored.
    """

    mesh: Mesh
    state: TrainState
    storage: TrainState
    compute: TrainState
    batch: Any
    gathered: Any

    def bytes_of(self, part: str) -> float:
        """Bytes on one device of a part of the state, such as ``"params"``."""
        trees = getattr(self.state, part), getattr(self.storage, part)
        return sum(
            local_bytes(x, s) for x, s in zip(*map(jax.tree.leaves, trees), strict=True)
        )

    def placed(self, part: str) -> Any:
        """A part of the state by shape, with its shardings."""
        return jax.tree.map(
            place, getattr(self.state, part), getattr(self.storage, part)
        )


def place(x: Any, sharding: Any) -> jax.ShapeDtypeStruct:
    """A shape with a sharding."""
    return jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding)


def transform(method: str, **options: Any) -> optax.GradientTransformation:
    """A method of the catalog; links and wrappers with AdamW behind them.

    Args:
      method: its name.
      **options: values by name, defaults for the others.

    Returns:
      The transformation.

    Raises:
      InputError: an unknown name or option, or a value out of range.
    """
    base = methods.alone(methods.get("adamw"), {})
    return methods.compose(methods.get(method), options, base)


def lay_out(
    model: PlannedModel, method: str, mesh: Mesh, batch: int, *, zero: str
) -> Layout:
    """Shapes and shardings of a run's state and batch.

    Args:
      model: the model.
      method: a name in the catalog.
      mesh: the mesh.
      batch: examples in a batch.
      zero: ``"none"``; ``"state"``, optimizer state divided over the data axis; or
        ``"all"``, parameters too.

    Returns:
      The layout.
    """
    params, model_state = model.init()
    rules = model.rules() if "model" in mesh.shape else ()
    specs = param_specs(params, rules, mesh)
    gathered = None
    if zero == "all":
        used = dict(specs)
        if "layers" in specs:
            used["layers"] = {k: P(*s[1:]) for k, s in specs["layers"].items()}
        gathered = jax.tree.map(lambda s: NamedSharding(mesh, s), used, is_leaf=_spec)
        specs = {
            name: jax.tree.map(
                lambda x, s, cut=_inner if name == "layers" else _outer: cut(
                    x.shape, s, mesh
                ),
                params[name],
                specs[name],
            )
            for name in params
        }
    row, tx = methods.get(method), transform(method)
    state = jax.eval_shape(
        lambda p, m, k: init_state(tx, p, k, m), params, model_state, jax.random.key(0)
    )
    opt = state_specs(
        state.opt_state,
        params,
        specs,
        mesh,
        zero_axis=None if zero == "none" else DATA_AXIS,
        replicated=row.whole_state,
        factored=row.factored_state,
    )
    replicated = jax.tree.map(lambda _: P(), state)
    compute = jax.tree.map(
        lambda s: NamedSharding(mesh, s),
        replicated._replace(params=specs, opt_state=opt),
        is_leaf=_spec,
    )
    storage = compute
    if zero != "none":
        storage = storage_shardings(state, compute, DATA_AXIS)
    divided_batch = NamedSharding(mesh, P(DATA_AXIS))
    placed = jax.tree.map(lambda x: place(x, divided_batch), model.batch(batch))
    return Layout(mesh, state, storage, compute, placed, gathered)


def _spec(x: Any) -> bool:
    return isinstance(x, P)


def _outer(shape: tuple[int, ...], spec: Any, mesh: Mesh) -> Any:
    """The spec with an axis cut over the data axis."""
    return divided(shape, spec, mesh, DATA_AXIS)


def _inner(shape: tuple[int, ...], spec: Any, mesh: Mesh) -> Any:
    """The same for stacked layers: not the first axis, unless all else is short."""
    if len(shape) < 3:
        return _outer(shape, spec, mesh)
    rest = _outer(shape[1:], P(*tuple(spec)[1:]), mesh)
    return P(None, *rest)
