"""Types, shapes and containers: kept, whatever the tree."""

from __future__ import annotations

import tempfile

import chex
import jax
import jax.numpy as jnp
import optax
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

import jaxopt_lab
from battery import comparison, problems
from battery.registry import check
from battery.subject import Subject, run, step
from jaxopt_lab.errors import InputError
from jaxopt_lab.training import Checkpoints


@check()
def dtypes(subject: Subject) -> None:
    """Updates and parameters keep their type; bfloat16 is kept or explained."""
    for dtype in (jnp.float64, jnp.float32, jnp.bfloat16):

        def one(params, batch):
            return step(subject.tx, params, subject.tx.init(params), batch)

        shapes = (problems.params(dtype), problems.batch(dtype))
        try:
            params, _, updates = jax.eval_shape(one, *shapes)
        except InputError as error:
            assert dtype == jnp.bfloat16 and "master copy" in str(error), error
            continue
        for leaf in jax.tree.leaves((params, updates)):
            assert leaf.dtype == dtype, f"{jnp.dtype(dtype)} became {leaf.dtype}"


@check()
def float32(subject: Subject) -> None:
    """float32 stays close to float64."""
    single, _ = run(subject.tx, problems.params("float32"), problems.batch("float32"))
    comparison.assert_close(
        jax.tree.map(lambda p: p.astype(jnp.float64), single),
        subject.looped[0],
        rtol=1e-4,
        atol=1e-5,
    )


def _typed(leaf) -> tuple:
    spec = () if leaf.sharding is None else tuple(leaf.sharding.spec)
    while spec and spec[-1] is None:
        spec = spec[:-1]
    return leaf.shape, leaf.dtype, spec


@check()
def state_types(subject: Subject) -> None:
    """Structure, shapes, dtypes and sharding types of the state never change."""
    mesh = jax.make_mesh((8,), ("x",), axis_types=(AxisType.Explicit,))
    sharding = NamedSharding(mesh, P("x"))
    params = {
        "m": jax.ShapeDtypeStruct((8, 2), jnp.float32, sharding=sharding),
        "v": jax.ShapeDtypeStruct((16,), jnp.float32, sharding=sharding),
    }
    batch = jax.ShapeDtypeStruct((4,), jnp.float32)

    def update(params, state, batch):
        return step(subject.tx, params, state, batch, problems.waves)[1]

    with jax.set_mesh(mesh):
        before = jax.eval_shape(subject.tx.init, params)
        after = jax.eval_shape(update, params, before, batch)
    # Straight from init, without a trace between: a leaf must be an array there.
    for leaf in jax.tree.leaves(subject.tx.init(problems.params())):
        assert isinstance(leaf, jax.Array), f"the state has the leaf {leaf!r}"
    chex.assert_trees_all_equal_structs(before, after)
    for path, leaf in jax.tree.leaves_with_path(before):
        name = jax.tree_util.keystr(path)
        now = dict(jax.tree.leaves_with_path(after))[path]
        assert _typed(leaf) == _typed(now), f"{name}: {_typed(leaf)} -> {_typed(now)}"


@check()
def map_params(subject: Subject) -> None:
    """``optax.tree.map_params`` finds the parameters' trees in the state."""
    params = {"m": jnp.ones((3, 5)), "v": jnp.ones(7)}
    state = subject.tx.init(params)
    labels = optax.tree.map_params(
        subject.tx,
        lambda _, p: f"like {p.shape}",
        state,
        params,
        transform_non_params=lambda _: "other",
    )
    assert jax.tree.structure(labels) == jax.tree.structure(state)
    for leaf, label in zip(
        jax.tree.leaves(state), jax.tree.leaves(labels), strict=True
    ):
        if leaf.shape in ((3, 5), (7,)):
            assert label == f"like {leaf.shape}", f"{leaf.shape} is labelled {label}"


@check()
def tree_shapes(subject: Subject) -> None:
    """Scalars, many axes, deep containers, leaves and trees without elements."""
    batch = jnp.ones(4)
    for name, tree in problems.TREES.items():
        params = problems.floats(tree, jnp.float64)
        after, _ = run(subject.tx, params, batch, 2, problems.waves)
        chex.assert_trees_all_equal_shapes_and_dtypes(after, params)
        chex.assert_tree_all_finite(after)
        if jax.tree.leaves(params):
            moved = [
                bool(jnp.any(a != b))
                for a, b in zip(
                    jax.tree.leaves(after), jax.tree.leaves(params), strict=True
                )
                if a.size
            ]
            assert all(moved), f"{name}: not every leaf moves"


@check()
def none_leaves(subject: Subject) -> None:
    """``None`` in the parameters is carried along, and nothing else changes."""
    params = problems.floats(problems.WITH_NONE, jnp.float64)
    after, _ = run(subject.tx, params, jnp.ones(4), 2, problems.waves)
    assert jax.tree.structure(after) == jax.tree.structure(params)
    dense = {"w": params["w"], "deep": [params["deep"][1]]}
    expected, _ = run(subject.tx, dense, jnp.ones(4), 2, problems.waves)
    comparison.assert_close(
        (after["w"], after["deep"][1]), (expected["w"], expected["deep"][0]), rtol=1e-12
    )


@check()
def abstract_init(subject: Subject) -> None:
    """``init`` needs shapes only, and gives on shapes what it gives on arrays."""
    params = problems.params(jnp.float32)
    abstract = jax.eval_shape(subject.tx.init, jax.tree.map(jax.typeof, params))
    concrete = subject.tx.init(params)
    chex.assert_trees_all_equal_shapes_and_dtypes(concrete, abstract)


@check()
def checkpoint(subject: Subject) -> None:
    """Saved and restored, the state is the same arrays in the same containers."""
    state = subject.looped[1]
    template = jax.eval_shape(subject.tx.init, problems.params())
    with (
        tempfile.TemporaryDirectory() as folder,
        Checkpoints(folder, async_=False) as kept,
    ):
        kept.save(1, state, data={})
        restored = kept.restore(template).state
    chex.assert_trees_all_equal_structs(restored, state)
    chex.assert_trees_all_equal_shapes_and_dtypes(restored, state)
    comparison.assert_equal(restored, state)


@check(lambda row: row.own)
def strict_promotion(subject: Subject) -> None:
    """Our own methods trace without any implicit change of type."""
    tx = subject.parts()[0]
    for dtype in (jnp.float32, jnp.float64):
        params, batch = problems.params(dtype), problems.batch(dtype)
        grad_fn = jaxopt_lab.batch_grad(problems.product, batch)
        grads = grad_fn(params)

        def update(params, grads, grad_fn=grad_fn):
            state = tx.init(params)
            return tx.update(grads, state, params, grad_fn=grad_fn)

        with jax.numpy_dtype_promotion("strict"):
            jax.eval_shape(update, params, grads)
