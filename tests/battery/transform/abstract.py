"""What of a row is seen without a program: types, shapes, counts, and refusals."""

from __future__ import annotations

import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P
from support.passes import marked, passes

import jaxopt_lab
from battery.transform import problems
from battery.transform.loops import Tree, step, train_loss
from jaxopt_lab.core import trees
from jaxopt_lab.training import init_state, make_train_step
from jaxopt_lab.training.dry_run import dry_run


def one_step(tx: Any, dtype: Any) -> tuple[Tree, Tree, Tree]:
    """``(params, state, updates)`` of a first step."""

    def one(params: Tree, batch: Tree) -> Any:
        return step(tx, params, tx.init(params), batch)

    return jax.eval_shape(one, problems.params(dtype), problems.batch(dtype))


def started(tx: Any, dtype: Any) -> Tree:
    """The state that ``init`` gives for shapes."""
    return jax.eval_shape(tx.init, jax.tree.map(jax.typeof, problems.params(dtype)))


def on_explicit_mesh(tx: Any) -> tuple[Tree, Tree]:
    """The state before and after a step, with the axes of a mesh in the types."""
    mesh = jax.make_mesh((8,), ("x",), axis_types=(AxisType.Explicit,))
    sharding = NamedSharding(mesh, P("x"))
    params = {
        "m": jax.ShapeDtypeStruct((8, 2), jnp.float32, sharding=sharding),
        "v": jax.ShapeDtypeStruct((16,), jnp.float32, sharding=sharding),
    }
    batch = jax.ShapeDtypeStruct((4,), jnp.float32)

    def after(params: Tree, state: Tree, batch: Any) -> Any:
        return step(tx, params, state, batch, problems.waves)[1]

    with jax.set_mesh(mesh):
        before = jax.eval_shape(tx.init, params)
        return before, jax.eval_shape(after, params, before, batch)


def labels(tx: Any) -> tuple[Tree, Tree]:
    """State of two parameters, and what ``map_params`` takes each leaf for."""
    params = {"m": np.ones((3, 5)), "v": np.ones(7)}
    found = []

    def label(params: Tree) -> Tree:
        state = tx.init(params)
        named = optax.tree.map_params(
            tx,
            lambda _, p: f"like {p.shape}",
            state,
            params,
            transform_non_params=lambda _: "other",
        )
        found.append(named)
        return state

    state = jax.eval_shape(label, params)
    return state, found[0]


def strictly(subject: Any, dtype: Any) -> None:
    """Trace the method's own part without implicit changes of type."""
    tx = subject.parts()[0]
    params, batch = problems.params(dtype), problems.batch(dtype)
    grads = jax.eval_shape(jax.grad(problems.product), params, batch)

    def update(params: Tree, grads: Tree, batch: Tree) -> Any:
        grad_fn = jaxopt_lab.batch_grad(problems.product, batch)
        with jax.numpy_dtype_promotion("strict"):
            return tx.update(grads, tx.init(params), params, grad_fn=grad_fn)

    with jax.numpy_dtype_promotion("strict"):
        jax.eval_shape(update, params, grads, batch)


def program(subject: Any, **extra: Any) -> str:
    """Text of the first update with these extra arguments."""

    def first(params: Tree, batch: Tree) -> Any:
        grad_fn = jaxopt_lab.batch_grad(problems.product, batch)
        grads, state = grad_fn(params), subject.tx.init(params)
        return subject.tx.update(grads, state, params, grad_fn=grad_fn, **extra)

    text = str(jax.make_jaxpr(first)(problems.params(), problems.batch()))
    return re.sub("0x[0-9a-f]+", "", text)


def heard_by_the_base(subject: Any) -> list[set[str]]:
    """Names of the extra arguments that the base of a wrapper is handed."""
    heard = []

    def listen(updates: Tree, state: Tree, params: Any = None, **extra: Any) -> Any:
        heard.append(set(extra))
        return updates, state

    listener = optax.GradientTransformationExtraArgs(
        lambda params: optax.EmptyState(), listen
    )
    around = subject.row.wrap(optax.chain(subject.base(), listener))

    def first(params: Tree, batch: Tree) -> Any:
        grad_fn = jaxopt_lab.batch_grad(problems.product, batch)
        grads, state = grad_fn(params), around.init(params)
        return around.update(
            grads, state, params, grad_fn=grad_fn, never_heard_of=jnp.ones(())
        )

    jax.eval_shape(first, problems.params(), problems.batch())
    return heard


def accumulated(subject: Any) -> None:
    """Trace a train step inside ``MultiSteps``."""
    tx = optax.MultiSteps(subject.tx, 2, accumulator_dtype=jnp.float64)
    _train_step(tx, problems.product)


def decayed_behind(subject: Any) -> None:
    """Trace a train step with weight decay behind."""
    tx = optax.chain(subject.tx, optax.add_decayed_weights(0.1))
    _train_step(tx, problems.product)


def _train_step(tx: Any, loss: Any) -> Any:
    params = problems.params()
    state = jax.eval_shape(lambda p: init_state(tx, p, jax.random.key(0)), params)
    train = make_train_step(train_loss(loss), tx)
    jax.eval_shape(train, state, problems.batch())
    return state


def hyperparams(subject: Any) -> list[set[str]]:
    """Names in every place of the state that keeps hyper-parameters."""
    state = jax.eval_shape(subject.injected().init, problems.params())
    has = lambda node: hasattr(node, "hyperparams")
    nodes = jax.tree.leaves(state, is_leaf=has)
    return [set(node.hyperparams) for node in nodes if has(node)]


def gradients(subject: Any) -> tuple[float, float]:
    """Gradient evaluations a step: planned, and counted in the program of a step."""

    def counting(params: Tree, batch: Tree) -> Any:
        return problems.product(params, {**batch, "s": marked(batch["s"])})

    tx = optax.with_extra_args_support(subject.tx)
    params, batch = problems.params(), problems.batch()
    state = jax.eval_shape(lambda p: init_state(tx, p, jax.random.key(0)), params)
    step = make_train_step(train_loss(counting), tx)
    seen = passes(step, state, batch, like=batch["s"])
    return dry_run(tx, state.opt_state, params).gradients, seen


def state_bytes(tx: Any) -> float:
    """Bytes of state per float32 parameter, counts of steps aside."""
    shapes = {"m": jax.ShapeDtypeStruct((256, 128), jnp.float32)}
    return trees.nbytes(jax.eval_shape(tx.init, shapes)) / (256 * 128)
