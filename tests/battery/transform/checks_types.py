"""Types, shapes and containers: kept, whatever the tree."""

from __future__ import annotations

import chex
import jax
import numpy as np

from battery.registry import check
from battery.transform import abstract, comparison, problems
from battery.transform.deferred import tier
from battery.transform.subject import Subject
from jaxopt_lab.core.errors import InputError


@check("transform")
def dtypes(subject: Subject) -> None:
    """Updates and parameters keep their type; bfloat16 is kept or explained."""
    for dtype in map(jax.numpy.dtype, ("float64", "float32", "bfloat16")):
        try:
            params, _, updates = abstract.one_step(subject.tx, dtype)
        except InputError as error:
            assert dtype == "bfloat16" and "master copy" in str(error), error
            continue
        for leaf in jax.tree.leaves((params, updates)):
            assert leaf.dtype == dtype, f"{dtype} became {leaf.dtype}"


@check("transform", tier=tier)
def float32(subject: Subject) -> None:
    """float32 stays close to float64."""
    single = jax.tree.map(np.float64, subject.value("float32"))
    comparison.assert_close(single, subject.looped[0], rtol=1e-4, atol=1e-5)


def _typed(leaf) -> tuple:
    spec = () if leaf.sharding is None else tuple(leaf.sharding.spec)
    while spec and spec[-1] is None:
        spec = spec[:-1]
    return leaf.shape, leaf.dtype, spec


@check("transform")
def state_types(subject: Subject) -> None:
    """Structure, shapes, dtypes and sharding types of the state never change."""
    before, after = abstract.on_explicit_mesh(subject.tx)
    # Straight from init, without a trace between: a leaf must be an array there.
    for leaf in jax.tree.leaves(subject.started()):
        assert isinstance(leaf, jax.Array), f"the state has the leaf {leaf!r}"
    chex.assert_trees_all_equal_structs(before, after)
    for path, leaf in jax.tree.leaves_with_path(before):
        name = jax.tree_util.keystr(path)
        now = dict(jax.tree.leaves_with_path(after))[path]
        assert _typed(leaf) == _typed(now), f"{name}: {_typed(leaf)} -> {_typed(now)}"


@check("transform")
def map_params(subject: Subject) -> None:
    """``optax.tree.map_params`` finds the parameters' trees in the state."""
    state, labels = abstract.labels(subject.tx)
    assert jax.tree.structure(labels) == jax.tree.structure(state)
    for leaf, label in zip(
        jax.tree.leaves(state), jax.tree.leaves(labels), strict=True
    ):
        if leaf.shape in ((3, 5), (7,)):
            assert label == f"like {leaf.shape}", f"{leaf.shape} is labelled {label}"


@check("transform", tier=tier)
def tree_shapes(subject: Subject) -> None:
    """Scalars, many axes, deep containers, leaves and trees without elements."""
    for name, tree in problems.TREES.items():
        params, after = problems.floats(tree, np.float64), subject.value(f"tree {name}")
        chex.assert_trees_all_equal_shapes_and_dtypes(after, params)
        chex.assert_tree_all_finite(after)
        pairs = zip(jax.tree.leaves(after), jax.tree.leaves(params), strict=True)
        moved = [np.any(a != b) for a, b in pairs if a.size]
        assert all(moved), f"{name}: not every leaf moves"


@check("transform", tier=tier)
def none_leaves(subject: Subject) -> None:
    """``None`` in the parameters is carried along, and nothing else changes."""
    after, expected = subject.value("with none"), subject.value("without none")
    assert jax.tree.structure(after) == jax.tree.structure(problems.WITH_NONE)
    comparison.assert_close(
        (after["w"], after["deep"][1]), (expected["w"], expected["deep"][0]), rtol=1e-12
    )


@check("transform")
def abstract_init(subject: Subject) -> None:
    """``init`` needs shapes only, and gives on shapes what it gives on arrays."""
    shapes = abstract.started(subject.tx, np.float32)
    arrays = subject.started(np.float32)
    chex.assert_trees_all_equal_shapes_and_dtypes(arrays, shapes)


@check("transform", tier=tier)
def checkpoint(subject: Subject) -> None:
    """Saved and restored, the state is the same arrays in the same containers."""
    state, restored = subject.looped[1], subject.restored
    chex.assert_trees_all_equal_structs(restored, state)
    chex.assert_trees_all_equal_shapes_and_dtypes(restored, state)
    comparison.assert_equal(restored, state)


@check("transform", lambda row: row.own)
def strict_promotion(subject: Subject) -> None:
    """Our own methods trace without any implicit change of type."""
    for dtype in (np.float32, np.float64):
        abstract.strictly(subject, dtype)
