"""Shardings of all leaves of a train state on a mesh."""

from __future__ import annotations

import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.meshes import SEEDS_AXIS
from jaxopt_lab.core.trees import path_name
from jaxopt_lab.core.typing import Params, PyTree
from jaxopt_lab.training.sharding_rules import Rules, axis_names, param_specs, parts_of
from jaxopt_lab.training.state import TrainState


def state_specs(
    opt_state: PyTree,
    params: Params,
    specs: PyTree,
    mesh: Mesh,
    *,
    zero_axis: str | None = None,
    replicated: str = "",
    factored: str = "",
) -> PyTree:
    """The spec of every leaf of an optimizer state.

    A leaf belongs to the parameter whose path its own path contains. A leaf of the same
    shape is sharded as the parameter; leading axes (a buffer of several) are replicated
    and the rest is sharded as the parameter. A leaf that differs from it in the last
    axis alone (codes and scales of its rows) is sharded as the parameter's other axes,
    and as its last one if that divides for all such leaves of the parameter: each shard
    then holds whole blocks. Leaves of other shapes hold blocks, numbered along the
    rows: their first axis is sharded as the parameter's first axis, if that divides for
    all such leaves of the parameter, and else they are replicated. Factors of a whole
    matrix (low-rank ones, covariances, sums of rows) have such shapes too: ``factored``
    names them.

    With ``zero_axis`` (the optimizer state of ZeRO, stage 1), leaves of the parameter's
    shape are sharded over that mesh axis too, on the first of their axes that is
    replicated and divides (or else one that is sharded already, into smaller parts),
    blocks along their first axis, and factors along their longest axis that divides. No
    method of the catalog then needs an all-to-all; the cost in jit style is an
    all-gather of the updates. Leaves named ``replicated`` are not sharded over it,
    since a step would gather them several times, and blocks whose own axis does not
    divide cannot be: ``storage_shardings`` shards both between the steps.

    Args:
      opt_state: the state or its shapes (``jax.eval_shape(tx.init, params)``).
      params: the parameters or their shapes.
      specs: their specs, from ``param_specs``.
      mesh: the mesh.
      zero_axis: a mesh axis over which the state is divided in addition, or ``None``.
      replicated: regular expression on the paths of leaves that ``zero_axis`` does not
        divide. ``whole_state`` of a row of the catalog.
      factored: regular expression on the paths of leaves that hold factors of a whole
        matrix; they are sharded independently of the parameter. ``factored_state`` of a
        row.

    Returns:
      Specs in the structure of ``opt_state``. Keys and scalars are replicated.

    Raises:
      InputError: the mesh has no axis ``zero_axis``.
    """
    if zero_axis is not None and zero_axis not in mesh.shape:
        raise InputError(
            f"the mesh has no axis {zero_axis!r} to divide the optimizer state over; "
            "its axes are " + ", ".join(mesh.axis_names)
        )
    owners = [
        (tuple(map(str, path)), np.shape(p), spec)
        for (path, p), spec in zip(
            jax.tree.leaves_with_path(params),
            jax.tree.leaves(specs, is_leaf=_is_spec),
            strict=True,
        )
    ]
    # Longest path first: "a" must not match the leaves of "a/b".
    owners.sort(key=lambda owner: -len(owner[0]))

    def owner(path: Any) -> tuple[Any, tuple[int, ...], PartitionSpec] | None:
        parts = tuple(map(str, path))
        return next((own for own in owners if _contains(parts, own[0])), None)

    def named(pattern: str, path: Any) -> bool:
        return bool(pattern) and re.search(pattern, path_name(path)) is not None

    # All blockwise leaves of one parameter are sharded alike or not at all.
    rows: dict[Any, set[int]] = {}
    lasts: dict[Any, set[int]] = {}
    mixed: set[Any] = set()
    for path, leaf in jax.tree.leaves_with_path(opt_state):
        own = owner(path)
        if own is None or named(replicated, path) or named(factored, path):
            continue
        if np.ndim(leaf) and not _ends_with(np.shape(leaf), own[1]):
            rows.setdefault(own[0], set()).add(np.shape(leaf)[0])
            if _by_row(np.shape(leaf), own[1]):
                lasts.setdefault(own[0], set()).add(np.shape(leaf)[-1])
            else:
                mixed.add(own[0])

    def divide_alike(own: Any, cut: Any) -> bool:
        return all(size % parts_of(cut, mesh) == 0 for size in rows[own])

    def spec_of(path: Any, leaf: Any) -> PartitionSpec:
        shape, own = np.shape(leaf), owner(path)
        if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key) or not shape:
            return PartitionSpec()
        spec = PartitionSpec()
        if own is None:
            pass
        elif _ends_with(shape, own[1]):
            more = len(shape) - len(own[1])
            spec = PartitionSpec(*[None] * more, *own[2])
            if named(replicated, path):
                return spec
        elif named(replicated, path):
            return PartitionSpec()
        elif named(factored, path):
            free = PartitionSpec()
            return free if zero_axis is None else _longest(shape, free, mesh, zero_axis)
        elif _by_row(shape, own[1]):
            *front, last = [*own[2], *[None] * len(shape)][: len(shape)]
            parts = parts_of(last, mesh)
            # A device then holds whole blocks, and the same ones of every leaf.
            whole = own[0] not in mixed and all(n % parts == 0 for n in lasts[own[0]])
            behind = [last] if last is not None and whole else []
            if zero_axis is None or (
                own[0] in mixed and not divide_alike(own[0], zero_axis)
            ):
                return PartitionSpec(*front, *behind)
            rest = divided(shape[:-1], PartitionSpec(*front), mesh, zero_axis)
            if not behind or zero_axis in axis_names(last):
                return rest
            return PartitionSpec(*rest, *[None] * (len(front) - len(rest)), *behind)
        else:
            cut = own[2][0] if own[2] and own[2][0] else zero_axis
            return PartitionSpec(cut) if divide_alike(own[0], cut) else PartitionSpec()
        return spec if zero_axis is None else divided(shape, spec, mesh, zero_axis)

    return jax.tree_util.tree_map_with_path(spec_of, opt_state)


def _ends_with(shape: tuple[int, ...], own: tuple[int, ...]) -> bool:
    return len(shape) >= len(own) and shape[len(shape) - len(own) :] == own


def _contains(path: tuple[str, ...], part: tuple[str, ...]) -> bool:
    n = len(part)
    return any(path[i : i + n] == part for i in range(len(path) - n + 1))


def _by_row(shape: tuple[int, ...], own: tuple[int, ...]) -> bool:
    """Whether a leaf differs from its parameter in the last axis alone."""
    return len(own) > 1 and shape[:-1] == own[:-1]


def divided(
    shape: tuple[int, ...], spec: PartitionSpec, mesh: Mesh, zero_axis: str
) -> PartitionSpec:
    """The spec with the first axis that divides sharded over ``zero_axis``, if any.

    Args:
      shape: of the array.
      spec: its spec so far.
      mesh: the mesh.
      zero_axis: a mesh axis.

    Returns:
      The new spec; the given one where ``zero_axis`` is in it, or no axis divides. An
      axis that is sharded already is divided further only where no replicated one
      divides.
    """
    entries = list(spec) + [None] * (len(shape) - len(spec))
    if any(zero_axis in axis_names(entry) for entry in entries):
        return spec
    fits = _divisible_axes(shape, entries, mesh, zero_axis)
    whole = [axis for axis in fits if entries[axis] is None]
    return _cut(entries, (whole or fits)[0], zero_axis) if fits else spec


def _longest(
    shape: tuple[int, ...], spec: PartitionSpec, mesh: Mesh, zero_axis: str
) -> PartitionSpec:
    """The spec with the longest axis that divides sharded over ``zero_axis``."""
    entries = list(spec) + [None] * (len(shape) - len(spec))
    fits = _divisible_axes(shape, entries, mesh, zero_axis)
    parts = [parts_of(entry, mesh) for entry in entries]
    longest = max(fits, key=lambda axis: shape[axis] / parts[axis], default=None)
    if longest is None:
        return spec
    return _cut(entries[: max(longest + 1, len(spec))], longest, zero_axis)


def _divisible_axes(
    shape: tuple[int, ...], entries: list[Any], mesh: Mesh, zero_axis: str
) -> list[int]:
    """The axes whose parts can be divided over ``zero_axis``."""
    return [
        axis
        for axis, size in enumerate(shape)
        if size and size % (parts_of(entries[axis], mesh) * mesh.shape[zero_axis]) == 0
    ]


def _cut(entries: list[Any], axis: int, zero_axis: str) -> PartitionSpec:
    names = (*axis_names(entries[axis]), zero_axis)
    entries = [*entries]
    entries[axis] = names if len(names) > 1 else zero_axis
    return PartitionSpec(*entries)


def _is_spec(x: Any) -> bool:
    return isinstance(x, PartitionSpec)


def state_shardings(
    state: TrainState,
    rules: Rules,
    mesh: Mesh,
    *,
    zero_axis: str | None = None,
    replicated: str = "",
    factored: str = "",
) -> TrainState:
    """Shardings of all leaves of a train state: a tree of ``NamedSharding``.

    Args:
      state: the state, or better its shapes: ``jax.eval_shape(init, key)``.
      rules: sharding rules of the parameters; see ``param_specs``.
      mesh: the mesh.
      zero_axis: mesh axis over which the optimizer state is divided (ZeRO, stage 1),
        or ``None``.
      replicated: as in ``state_specs``.
      factored: as in ``state_specs``.

    Returns:
      The shardings, for ``in_shardings``, ``out_shardings`` or ``jax.device_put``.
      The model state, the key and the step are replicated.

    Raises:
      InputError: as ``param_specs`` and ``state_specs``.
    """
    specs = param_specs(state.params, rules, mesh)
    everywhere = jax.tree.map(lambda _: PartitionSpec(), state)
    opt = state_specs(
        state.opt_state,
        state.params,
        specs,
        mesh,
        zero_axis=zero_axis,
        replicated=replicated,
        factored=factored,
    )
    found = everywhere._replace(params=specs, opt_state=opt)
    return jax.tree.map(lambda s: NamedSharding(mesh, s), found, is_leaf=_is_spec)


def storage_shardings(
    state: TrainState, shardings: TrainState, zero_axis: str
) -> TrainState:
    """Shardings of a state between steps, with no optimizer leaf replicated.

    A step may need leaves undivided: replicated ones, and blocks that cross the shards
    of their parameter. Such a leaf is sharded here independently, over ``zero_axis``
    and the mesh axes that it is not sharded over yet, each along the longest axis of
    the array that divides. A step gathers it first and shards it again at its end
    (``make_parallel_step(..., storage=...)``); that sends its bytes once.

    Args:
      state: the state or its shapes.
      shardings: during a step, from ``state_shardings``.
      zero_axis: the mesh axis over which the optimizer state is divided.

    Returns:
      The shardings; those of leaves that are divided stay the same.
    """

    def kept(x: Any, there: Any) -> NamedSharding:
        used = {name for entry in there.spec for name in axis_names(entry)}
        if zero_axis in used or jnp.issubdtype(x.dtype, jax.dtypes.prng_key):
            return there
        mesh, spec = there.mesh, there.spec
        # The axis of seeds divides the seeds, not the state of one seed.
        others = [n for n in mesh.axis_names if n not in (zero_axis, SEEDS_AXIS, *used)]
        for name in (zero_axis, *others):
            spec = _longest(np.shape(x), spec, mesh, name)
        return NamedSharding(mesh, spec)

    opt_state = jax.tree.map(kept, state.opt_state, shardings.opt_state)
    return shardings._replace(opt_state=opt_state)


def init_sharded(init: Any, key: jax.Array, shardings: Any) -> Any:
    """A fresh state, initialised directly in its shardings.

    Args:
      init: ``init(key) -> state``.
      key: typed key.
      shardings: from ``state_shardings``.

    Returns:
      The state. No device ever holds more of it than its part: the shardings are
      those of the compiled program's results.
    """
    return jax.jit(init, out_shardings=shardings)(key)
