"""Where every leaf of a train state lies on a mesh."""

from __future__ import annotations

import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import PyTree

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.meshes import SEEDS_AXIS
from jaxopt_lab.core.trees import path_name
from jaxopt_lab.core.typing import Params
from jaxopt_lab.training.sharding_rules import Rules, axis_names, param_specs, parts_of
from jaxopt_lab.training.state import TrainState


def state_specs(
    opt_state: PyTree,
    params: Params,
    specs: PyTree,
    mesh: Mesh,
    *,
    over: str | None = None,
    whole: str = "",
    factors: str = "",
) -> PyTree:
    """The spec of every leaf of an optimizer state.

    A leaf belongs to the parameter whose path its own path contains. Of the same
    shape, it lies as the parameter; with axes in front (a buffer of several), these
    are whole and the rest lies as the parameter. A leaf that differs from it in the
    last axis alone (codes and scales of its rows) lies as the parameter's other axes.
    Leaves of other shapes hold blocks, numbered along the rows: their first axis is
    cut as the parameter's first axis is, if that divides for all such leaves of the
    parameter, and else they are whole. Factors, from which all of a matrix is
    computed (low-rank ones, covariances, sums of rows), look the same as these:
    ``factors`` names them.

    With ``over`` (the optimizer state of ZeRO, stage 1), leaves of the parameter's
    shape are cut along that mesh axis too, on the first of their axes that is whole
    and divides (or else one that is cut already, into smaller parts), blocks along
    their first axis, and factors along their longest axis that divides. No method of
    the catalog then needs an all-to-all; the price in jit style is an all-gather of the
    updates. Leaves named ``whole`` are not cut along it, since a step would bring them
    together several times, and blocks whose own axis does not divide cannot be:
    ``stored_shardings`` keeps both in pieces between the steps.

    Args:
      opt_state: the state or its shapes (``jax.eval_shape(tx.init, params)``).
      params: the parameters or their shapes.
      specs: their specs, from ``param_specs``.
      mesh: the mesh.
      over: a mesh axis along which the state is divided besides, or ``None``.
      whole: regular expression on the paths of leaves that ``over`` does not cut.
        ``whole_state`` of a row of the catalog.
      factors: likewise of factors, where they are not of their parameter's shape.
        ``factor_state`` of a row.

    Returns:
      Specs in the structure of ``opt_state``. Keys and scalars are whole.

    Raises:
      InputError: the mesh has no axis ``over``.
    """
    if over is not None and over not in mesh.shape:
        raise InputError(
            f"the mesh has no axis {over!r} to divide the optimizer state over; its "
            "axes are " + ", ".join(mesh.axis_names)
        )
    owners = [
        (tuple(map(str, path)), np.shape(p), spec)
        for (path, p), spec in zip(
            jax.tree.leaves_with_path(params),
            jax.tree.leaves(specs, is_leaf=_is_spec),
            strict=True,
        )
    ]
    # The longest path first: "a" must not claim what belongs to "a/b".
    owners.sort(key=lambda owner: -len(owner[0]))

    def owner(path: Any) -> tuple[Any, tuple[int, ...], PartitionSpec] | None:
        parts = tuple(map(str, path))
        return next((own for own in owners if _contains(parts, own[0])), None)

    def named(pattern: str, path: Any) -> bool:
        return bool(pattern) and re.search(pattern, path_name(path)) is not None

    # What is stored block by block for one parameter is cut together or not at all.
    rows: dict[Any, set[int]] = {}
    mixed: set[Any] = set()
    for path, leaf in jax.tree.leaves_with_path(opt_state):
        own = owner(path)
        if own is None or named(whole, path) or named(factors, path):
            continue
        if np.ndim(leaf) and not _ends_with(np.shape(leaf), own[1]):
            rows.setdefault(own[0], set()).add(np.shape(leaf)[0])
            if not _by_row(np.shape(leaf), own[1]):
                mixed.add(own[0])

    def together(own: Any, cut: Any) -> bool:
        return all(size % parts_of(cut, mesh) == 0 for size in rows[own])

    def lies(path: Any, leaf: Any) -> PartitionSpec:
        shape, own = np.shape(leaf), owner(path)
        if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key) or not shape:
            return PartitionSpec()
        spec = PartitionSpec()
        if own is None:
            pass
        elif _ends_with(shape, own[1]):
            more = len(shape) - len(own[1])
            spec = PartitionSpec(*[None] * more, *own[2])
            if named(whole, path):
                return spec
        elif named(whole, path):
            return PartitionSpec()
        elif named(factors, path):
            free = PartitionSpec()
            return free if over is None else _longest(shape, free, mesh, over)
        elif _by_row(shape, own[1]):
            front = PartitionSpec(*(*own[2], *[None] * len(shape))[: len(shape) - 1])
            if over is None or (own[0] in mixed and not together(own[0], over)):
                return front
            return divided(shape[:-1], front, mesh, over)
        else:
            cut = own[2][0] if own[2] and own[2][0] else over
            return PartitionSpec(cut) if together(own[0], cut) else PartitionSpec()
        return spec if over is None else divided(shape, spec, mesh, over)

    return jax.tree_util.tree_map_with_path(lies, opt_state)


def _ends_with(shape: tuple[int, ...], own: tuple[int, ...]) -> bool:
    return len(shape) >= len(own) and shape[len(shape) - len(own) :] == own


def _contains(path: tuple[str, ...], part: tuple[str, ...]) -> bool:
    n = len(part)
    return any(path[i : i + n] == part for i in range(len(path) - n + 1))


def _by_row(shape: tuple[int, ...], own: tuple[int, ...]) -> bool:
    """Whether a leaf differs from its parameter in the last axis alone."""
    return len(own) > 1 and shape[:-1] == own[:-1]


def divided(
    shape: tuple[int, ...], spec: PartitionSpec, mesh: Mesh, over: str
) -> PartitionSpec:
    """The spec with the first axis that divides cut along ``over``, if any.

    Args:
      shape: of the array.
      spec: where it lies already.
      mesh: the mesh.
      over: a mesh axis.

    Returns:
      The new spec; the given one where ``over`` is in it, or no axis divides. An axis
      that is cut already is cut further only where no whole one divides.
    """
    entries = list(spec) + [None] * (len(shape) - len(spec))
    if any(over in axis_names(entry) for entry in entries):
        return spec
    fits = _that_divide(shape, entries, mesh, over)
    whole = [axis for axis in fits if entries[axis] is None]
    return _cut(entries, (whole or fits)[0], over) if fits else spec


def _longest(
    shape: tuple[int, ...], spec: PartitionSpec, mesh: Mesh, over: str
) -> PartitionSpec:
    """The spec with the longest axis that divides cut along ``over``, if any."""
    entries = list(spec) + [None] * (len(shape) - len(spec))
    fits = _that_divide(shape, entries, mesh, over)
    parts = [parts_of(entry, mesh) for entry in entries]
    longest = max(fits, key=lambda axis: shape[axis] / parts[axis], default=None)
    if longest is None:
        return spec
    return _cut(entries[: max(longest + 1, len(spec))], longest, over)


def _that_divide(
    shape: tuple[int, ...], entries: list[Any], mesh: Mesh, over: str
) -> list[int]:
    """The axes of which every part can be cut along ``over``."""
    return [
        axis
        for axis, size in enumerate(shape)
        if size and size % (parts_of(entries[axis], mesh) * mesh.shape[over]) == 0
    ]


def _cut(entries: list[Any], axis: int, over: str) -> PartitionSpec:
    names = (*axis_names(entries[axis]), over)
    entries = [*entries]
    entries[axis] = names if len(names) > 1 else over
    return PartitionSpec(*entries)


def _is_spec(x: Any) -> bool:
    return isinstance(x, PartitionSpec)


def state_shardings(
    state: TrainState,
    rules: Rules,
    mesh: Mesh,
    *,
    over: str | None = None,
    whole: str = "",
    factors: str = "",
) -> TrainState:
    """Where every leaf of a train state lies: a tree of ``NamedSharding``.

    Args:
      state: the state, or better its shapes: ``jax.eval_shape(init, key)``.
      rules: sharding rules of the parameters; see ``param_specs``.
      mesh: the mesh.
      over: mesh axis over which the optimizer state is divided (ZeRO, stage 1), or
        ``None``.
      whole: as in ``state_specs``.
      factors: as in ``state_specs``.

    Returns:
      The shardings, for ``in_shardings``, ``out_shardings`` or ``jax.device_put``.
      The model state, the key and the step are whole on every device.

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
        over=over,
        whole=whole,
        factors=factors,
    )
    found = everywhere._replace(params=specs, opt_state=opt)
    return jax.tree.map(lambda s: NamedSharding(mesh, s), found, is_leaf=_is_spec)


def stored_shardings(state: TrainState, shardings: TrainState, over: str) -> TrainState:
    """Where a state is kept between steps, so that nothing of the optimizer's is whole.

    What a step computes with may not be divided: leaves that it needs whole, and blocks
    that cross the pieces of their parameter. Such a leaf is cut here by itself, over
    ``over`` and the mesh axes that it is not cut over yet, each along the longest axis
    of the array that divides. A step gathers it first and cuts it again at its end
    (``make_parallel_step(..., stored=...)``); that sends its bytes once.

    Args:
      state: the state or its shapes.
      shardings: where a step computes with it, from ``state_shardings``.
      over: the mesh axis over which the optimizer state is divided.

    Returns:
      The shardings; those of leaves that are divided are as they were.
    """

    def kept(x: Any, there: Any) -> NamedSharding:
        used = {name for entry in there.spec for name in axis_names(entry)}
        if over in used or jnp.issubdtype(x.dtype, jax.dtypes.prng_key):
            return there
        mesh, spec = there.mesh, there.spec
        # An axis of seeds is cut before anything of one seed's state is.
        others = [n for n in mesh.axis_names if n not in (over, SEEDS_AXIS, *used)]
        for name in (over, *others):
            spec = _longest(np.shape(x), spec, mesh, name)
        return NamedSharding(mesh, spec)

    opt_state = jax.tree.map(kept, state.opt_state, shardings.opt_state)
    return shardings._replace(opt_state=opt_state)


def init_sharded(init: Any, key: jax.Array, shardings: Any) -> Any:
    """A fresh state, made where it is to lie.

    Args:
      init: ``init(key) -> state``.
      key: typed key.
      shardings: from ``state_shardings``.

    Returns:
      The state. No device ever holds more of it than its part: the shardings are
      those of the compiled program's results.
    """
    return jax.jit(init, out_shardings=shardings)(key)
