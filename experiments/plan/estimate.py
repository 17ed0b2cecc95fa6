"""A real train step, compiled by shapes for devices that are not there."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from experiments.plan import wire, work
from experiments.plan.module_text import read_module
from experiments.plan.partitioned import compile_partitioned
from experiments.plan.subject import Subject
from jaxopt_lab import catalog
from jaxopt_lab.training import init_state, make_parallel_step
from jaxopt_lab.training.meshes import DATA_AXIS
from jaxopt_lab.training.sharding import divided, param_specs, state_specs
from jaxopt_lab.training.state import TrainState


class Layout(NamedTuple):
    """A train state and a batch by shape and place.

    Attributes:
      mesh: the mesh.
      state: shapes of the state.
      there: its shardings.
      batch: shapes of the batch, with shardings.
      gathered: where the parameters lie while they are used, if not as stored.
    """

    mesh: Mesh
    state: TrainState
    there: TrainState
    batch: Any
    gathered: Any

    def bytes_of(self, part: str) -> float:
        """Bytes on one device of a part of the state, such as ``"params"``."""
        shapes, there = getattr(self.state, part), getattr(self.there, part)
        return sum(
            local_bytes(x, s)
            for x, s in zip(
                jax.tree.leaves(shapes), jax.tree.leaves(there), strict=True
            )
        )


class Residual(NamedTuple):
    """Something that the forward pass keeps for the backward pass.

    Attributes:
      shape: on all devices together.
      dtype: its type.
      nbytes: bytes on one device.
    """

    shape: tuple[int, ...]
    dtype: str
    nbytes: float


class Plan(NamedTuple):
    """What a step needs of each device.

    Attributes:
      arguments: bytes of parameters, optimizer state and batch: exact.
      parameters: bytes of the parameters among them.
      optimizer: bytes of the optimizer state among them.
      residuals: what the backward pass needs, the largest first.
      logits: bytes of the largest cotangent, that of the logits.
      gradients: bytes of one tree of gradients.
      flops: operations of the products in one step; NaN where a loop is unknown.
      sent: what goes over the wire.
      exact_text: whether ``sent`` and ``flops`` come from the partitioner's module.
      argument_check: ``argument_size_in_bytes`` of the compiled program.
    """

    arguments: float
    parameters: float
    optimizer: float
    residuals: list[Residual]
    logits: float
    gradients: float
    flops: float
    sent: list[wire.Sent]
    exact_text: bool
    argument_check: float

    @property
    def activations(self) -> float:
        """Bytes of all residuals."""
        return sum(r.nbytes for r in self.residuals)

    @property
    def peak_estimate(self) -> float:
        """Arguments, residuals, the logits' cotangent and the gradients."""
        return self.arguments + self.activations + self.logits + self.gradients


def local_bytes(x: Any, sharding: Any) -> float:
    """Bytes of an array on one device."""
    shape = sharding.shard_shape(x.shape)
    if jnp.issubdtype(x.dtype, jax.dtypes.prng_key):
        return math.prod(shape) * jax.random.key_data(jax.random.key(0)).nbytes
    return math.prod(shape) * jnp.dtype(x.dtype).itemsize


def transform(method: str) -> optax.GradientTransformation:
    """A method at its defaults; links and wrappers with AdamW behind them."""
    row = catalog.get(method)
    if row.kind == "optimizer":
        return row.build()
    base = catalog.get("adamw").build()
    return row.wrap(base) if row.kind == "wrapper" else optax.chain(row.build(), base)


def layout(model: Subject, method: str, mesh: Mesh, batch: int, *, zero: str) -> Layout:
    """Shapes and places of a run's state and batch.

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
    tx = transform(method)
    state = jax.eval_shape(
        lambda p, m, k: init_state(tx, p, k, m), params, model_state, jax.random.key(0)
    )
    opt = state_specs(
        state.opt_state,
        params,
        specs,
        mesh,
        over=None if zero == "none" else DATA_AXIS,
        whole=catalog.get(method).whole_state,
        factors=catalog.get(method).factor_state,
    )
    whole = jax.tree.map(lambda _: P(), state)
    there = jax.tree.map(
        lambda s: NamedSharding(mesh, s),
        whole._replace(params=specs, opt_state=opt),
        is_leaf=_spec,
    )
    placed = jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(
            x.shape, x.dtype, sharding=NamedSharding(mesh, P(DATA_AXIS))
        ),
        model.batch(batch),
    )
    return Layout(mesh, state, there, placed, gathered)


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


def lower(model: Subject, method: str, layout: Layout) -> tuple[Any, Any]:
    """The loss, and one train step traced and lowered for the layout's devices.

    Args:
      model: the model.
      method: a name in the catalog.
      layout: from ``layout``.

    Returns:
      The loss and the lowered step, to be compiled.
    """
    loss = model.loss_fn(gathered=layout.gathered)
    step = make_parallel_step(
        loss, transform(method), layout.mesh, layout.there, style="jit"
    )
    state = jax.tree.map(_placed, layout.state, layout.there)
    return loss, jax.jit(step, donate_argnums=0).lower(state, layout.batch)


def plan(model: Subject, method: str, layout: Layout) -> Plan:
    """Compile one step and read what it needs.

    Args:
      model: the model.
      method: a name in the catalog.
      layout: from ``layout``.

    Returns:
      The plan. The compiler's own ``peak``, ``temp`` and ``flops`` are not used: on
      this backend they are wrong by 2 to 23 times for such a program.
    """
    loss, lowered = lower(model, method, layout)
    # No code is run: the cheapest there is will do.
    found = compile_partitioned(lowered, xla_backend_optimization_level=0)
    module = read_module(found.text)
    residuals = _residuals(loss, layout)
    size = jax.tree.leaves(layout.batch)[0].shape[0]
    parameters = layout.bytes_of("params")
    optimizer = layout.bytes_of("opt_state")
    rest = sum(local_bytes(x, x.sharding) for x in jax.tree.leaves(layout.batch))
    rest += sum(layout.bytes_of(part) for part in ("step", "model_state", "key"))
    analysis = found.compiled.memory_analysis()
    return Plan(
        arguments=parameters + optimizer + rest,
        parameters=parameters,
        optimizer=optimizer,
        residuals=residuals,
        logits=2.0 * model.logits(size) / layout.mesh.size,
        gradients=parameters,
        flops=work.flops(module),
        sent=wire.sent(module, layout.mesh.shape),
        exact_text=found.exact,
        argument_check=analysis.argument_size_in_bytes,
    )


def _placed(x: Any, sharding: Any) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding)


def _residuals(loss: Any, layout: Layout) -> list[Residual]:
    """What the linearised loss holds, under the shardings the compiler chose."""
    params = jax.tree.map(_placed, layout.state.params, layout.there.params)

    model_state = jax.tree.map(
        _placed, layout.state.model_state, layout.there.model_state
    )

    def held(params: Any, model_state: Any, batch: Any) -> list[jax.Array]:
        scalar = lambda p: loss(p, model_state, batch, None)[0]
        return jax.tree.leaves(jax.vjp(scalar, params)[1])

    lowered = jax.jit(held).lower(params, model_state, layout.batch)
    options: dict[str, Any] = {"xla_backend_optimization_level": 0}
    compiled = lowered.compile(compiler_options=options)
    traced = jax.make_jaxpr(held)(params, model_state, layout.batch).jaxpr
    shapes = [v.aval for v in traced.outvars]
    computed = _computed(traced)
    weights = {(x.shape, x.dtype) for x in jax.tree.leaves(params)}
    found = [
        Residual(x.shape, str(x.dtype), local_bytes(x, s))
        for x, s, real in zip(shapes, compiled.output_shardings, computed, strict=True)
        if real and (x.shape, x.dtype) not in weights
    ]
    return sorted(found, key=lambda r: -r.nbytes)


def _computed(jaxpr: Any) -> list[bool]:
    """Which results are computed from an input; the others are constants.

    A program of its own must give a constant as an array; a step never stores it.
    """
    known = {id(v) for v in jaxpr.invars}
    for equation in jaxpr.eqns:
        if any(id(v) in known for v in equation.invars):
            known |= {id(v) for v in equation.outvars}
    return [id(v) in known for v in jaxpr.outvars]


def state_table(layouts: dict[str, Layout]) -> list[tuple[str, float, float]]:
    """Method, bytes of state on one device, and bytes a parameter over all devices."""
    rows = []
    for name, one in layouts.items():
        whole = sum(
            math.prod(x.shape) * _itemsize(x)
            for x in jax.tree.leaves(one.state.opt_state)
        )
        count = sum(math.prod(x.shape) for x in jax.tree.leaves(one.state.params))
        rows.append((name, one.bytes_of("opt_state"), whole / count))
    return rows


def _itemsize(x: Any) -> float:
    if jnp.issubdtype(x.dtype, jax.dtypes.prng_key):
        return 8.0
    return float(jnp.dtype(x.dtype).itemsize)
