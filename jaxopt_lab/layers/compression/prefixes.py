"""Sub-networks that are prefixes: the first units of each axis, the first blocks."""
# Its examples wait for pytest --full.

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxopt_lab.core import trees
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.functional import Functional
from jaxopt_lab.core.known_values import known_values
from jaxopt_lab.core.numbers import is_whole
from jaxopt_lab.core.options import COUNT, check_arguments
from jaxopt_lab.core.typing import ModelState, Params

Axes = Mapping[str, Sequence[str | None]]
"""The axes of leaves that sub-networks cut, by regular expressions of their paths."""

_ALL = np.iinfo(np.int32).max
_KINDS = ("width", "depth", None)


class SubNetwork(NamedTuple):
    """A sub-network: a share of the units, and a number of blocks. Also stacked.

    Attributes:
      width: share of the units of every axis, above 0 and at most 1; float32.
      depth: blocks, the first ones; int32.
    """

    width: Any
    depth: Any


def sub_networks(
    widths: Sequence[float] = (0.25, 0.5, 0.75, 1.0),
    depths: Sequence[int] | None = None,
) -> SubNetwork:
    """All products of widths and depths, stacked; the last is the largest.

    Args:
      widths: shares of the units, each above 0 and at most 1.
      depths: numbers of blocks; ``None``: always all of them.

    Returns:
      ``(len(widths) * len(depths),)`` of each, every candidate once.

    Raises:
      InputError: one is out of range, or there are none.

    >>> found = sub_networks((1.0, 0.5), (1, 2))
    >>> found.width.tolist(), found.depth.tolist()
    ([0.5, 0.5, 1.0, 1.0], [1, 2, 1, 2])
    """
    given = sorted({float(w) for w in widths})
    if not given or not all(0 < w <= 1 for w in given):
        raise InputError(
            f"widths must be shares above 0 and at most 1, at least one; got {widths}"
        )
    blocks = [_ALL] if depths is None else sorted({*depths})
    if not blocks or not all(is_whole(d) and d >= 1 for d in blocks):
        raise InputError(
            f"depths must be whole numbers of at least 1, at least one; got {depths}"
        )
    w, d = np.meshgrid(given, blocks, indexing="ij")
    return SubNetwork(
        jnp.asarray(w.ravel(), jnp.float32), jnp.asarray(d.ravel(), jnp.int32)
    )


def active_units(size: int, width: jax.Array | float) -> jax.Array:
    """The units of an axis that a width keeps: the nearest number, at least 1.

    Args:
      size: of the axis.
      width: share of it.

    Returns:
      int32; halves are rounded up, and a share just below a half too, so that no
      rounding of the share itself decides.

    >>> [int(active_units(5, w)) for w in (0.1, 0.3, 0.5, 1.0)]
    [1, 2, 3, 5]
    """
    share = jnp.asarray(width, jnp.float32) * jnp.float32(size)
    units = jnp.floor(share + jnp.float32(0.501)).astype(jnp.int32)
    return jnp.clip(units, 1, size)


def prefix_mask(size: int, active: jax.Array | int) -> jax.Array:
    """Booleans of an axis, true for its first ``active`` places.

    Args:
      size: length of the axis.
      active: number of places, may be traced.

    Returns:
      ``(size,)`` booleans.

    >>> prefix_mask(3, 2).tolist()
    [True, True, False]
    """
    return jnp.arange(size, dtype=jnp.int32) < active


def sample_subnetworks(
    key: jax.Array,
    candidates: SubNetwork,
    n: Annotated[int, COUNT] = 1,
    *,
    always_full: bool = False,
) -> SubNetwork:
    """Draws among candidates, each with the same probability, with replacement.

    Args:
      key: of the draws.
      candidates: stacked, of ``sub_networks``.
      n: how many.
      always_full: the last candidate in place of the last draw.

    Returns:
      ``(n,)`` of each.

    Raises:
      InputError: ``n`` is out of range.

    >>> drawn = sample_subnetworks(jax.random.key(0), sub_networks((0.5,)), 3)
    >>> drawn.width.tolist()
    [0.5, 0.5, 0.5]
    """
    check_arguments(sample_subnetworks, locals())
    count = jnp.shape(candidates.width)[0]
    chosen = jax.random.randint(key, (n,), 0, count)
    if always_full:
        chosen = chosen.at[-1].set(count - 1)
    return SubNetwork(*(jnp.asarray(x)[chosen] for x in candidates))


def mask_params(params: Params, axes: Axes, sub: SubNetwork) -> Params:
    """Parameters with zeros for what is not in the sub-network; traceable.

    Args:
      params: of the whole network.
      axes: ``{pattern: (kind, ...)}``, a kind for each axis of the leaves whose path
        contains the regular expression, of which the first that fits counts:
        ``"width"``, ``"depth"`` (an axis of stacked blocks) or ``None``. A group named
        ``block`` in the pattern is the number of the leaf's block, from 0, all of
        which is left out from the depth on. Other leaves stay.
      sub: the sub-network, numbers or traced scalars.

    Returns:
      The same shapes; the gradient is 0 where the values are.

    Raises:
      InputError: a pattern finds nothing, or the kinds do not fit a leaf.

    A network of zeros is a smaller network where a unit whose weights are all 0 gives
    0 to the next layer and a block of them is the identity: matrices, convolutions,
    any activation between them, normalizations of each channel, residual blocks. A
    normalization over the features of a position divides by all of them, which is not
    that of the smaller network.

    >>> params = {"in": jnp.ones((1, 4)), "out": jnp.ones((4, 1))}
    >>> axes = {"in": (None, "width"), "out": ("width", None)}
    >>> mask_params(params, axes, SubNetwork(0.5, 1))["in"].tolist()
    [[1.0, 1.0, 0.0, 0.0]]
    """
    kinds = _kinds(axes, params)

    def masked(path: Any, leaf: jax.Array) -> jax.Array:
        kept = _kept(kinds.get(trees.path_name(path)), jnp.shape(leaf), sub)
        return leaf if kept is None else jnp.where(kept, leaf, 0)

    return trees.map_with_path(masked, params)


def extract_subnetwork(params: Params, axes: Axes, sub: SubNetwork) -> Params:
    """The parameters of a sub-network alone, in smaller arrays.

    Args:
      params: nested dicts, of the whole network, or its model state.
      axes: as of ``mask_params``; those that find nothing are of the other tree.
      sub: the sub-network, numbers.

    Returns:
      Parameters of the smaller network; blocks that are left out are not there. What
      the network gives is what it gives with ``mask_params``.

    Raises:
      InputError: no pattern finds anything, the kinds do not fit a leaf, or the
        sub-network is traced.

    >>> params = {"block_0": jnp.ones(4), "block_1": jnp.ones(4)}
    >>> axes = {r"block_(?P<block>\\d+)": ("width",)}
    >>> extract_subnetwork(params, axes, SubNetwork(0.5, 1))
    {'block_0': Array([1., 1.], dtype=float32)}
    """
    if any(known_values(x) is None for x in sub):
        raise InputError(
            "extract_subnetwork makes shapes of values and cannot be traced; under jit "
            "call mask_params"
        )
    kinds = _matches(axes, params)
    if not kinds:
        raise InputError(
            f"axes: none of {', '.join(map(repr, axes))} finds a leaf; there are "
            f"{', '.join(_names(params))}"
        )
    depth = int(sub.depth)

    def cut(leaf: jax.Array, found: _Found) -> jax.Array:
        # Numbers that are known are to be so under jit, too.
        with jax.ensure_compile_time_eval():
            ends = [
                n
                if kind is None
                else int(active_units(n, sub.width))
                if kind == "width"
                else min(n, depth)
                for n, kind in zip(jnp.shape(leaf), found.kinds, strict=True)
            ]
        return leaf[tuple(slice(end) for end in ends)]

    def walk(node: Any, path: str) -> Any:
        if not isinstance(node, Mapping):
            found = kinds.get(path)
            return node if found is None else cut(node, found)
        made = {}
        for name, child in node.items():
            at = f"{path}/{name}" if path else str(name)
            found = kinds.get(at)
            if found is not None and found.block is not None and found.block >= depth:
                continue
            inner = walk(child, at)
            if not (isinstance(child, Mapping) and child and not inner):
                made[name] = inner
        return made

    return walk(params, "")


def with_sub_networks(network: Functional, axes: Axes) -> Functional:
    """A network whose inputs travel with the sub-network that is to take them.

    Args:
      network: a model.
      axes: as of ``mask_params``, of its parameters and model state.

    Returns:
      ``init`` as it was; ``apply`` takes ``(inputs, SubNetwork)``. A new model state
      (the statistics of batch normalization) counts where the sub-network has units
      and is the old one elsewhere.

    Raises:
      InputError: from ``apply``, as of ``mask_params``.

    >>> def apply(params, state, x, *, train, key=None):
    ...     return x @ params, state
    >>> whole = Functional(lambda key: (jnp.ones((1, 2)), {}), apply)
    >>> small = with_sub_networks(whole, {"": (None, "width")})
    >>> x = jnp.ones((1, 1))
    >>> small.apply(jnp.ones((1, 2)), {}, (x, SubNetwork(0.5, 1)), train=False)[0]
    Array([[1., 0.]], dtype=float32)
    """

    def apply(
        params: Params, state: ModelState, x: Any, *, train: bool, key: Any = None
    ) -> tuple[Any, ModelState]:
        inputs, sub = x
        _kinds(axes, params, state)
        own = {p: k for p, k in axes.items() if _found_in(p, params)}
        kept = mask_params(params, own, sub)
        outputs, after = network.apply(kept, state, inputs, train=train, key=key)
        kinds = _matches(axes, state)

        def chosen(path: Any, old: Any, new: Any) -> Any:
            mask = _kept(kinds.get(trees.path_name(path)), jnp.shape(old), sub)
            return new if mask is None else jnp.where(mask, new, old)

        return outputs, trees.map_with_path(chosen, state, after) if kinds else after

    return Functional(network.init, apply)


def evaluate_all(score: Callable[[SubNetwork], Any], candidates: SubNetwork) -> Any:
    """A score of every candidate, one after another in one program.

    Args:
      score: ``score(sub)``, such as the accuracy on a test set.
      candidates: stacked, of ``sub_networks``.

    Returns:
      The scores, stacked.

    >>> evaluate_all(lambda sub: 2 * sub.width, sub_networks((0.5, 1.0))).tolist()
    [1.0, 2.0]
    """
    return jax.lax.map(score, candidates)


class _Found(NamedTuple):
    kinds: Sequence[str | None]
    block: int | None


def _names(tree: Any) -> dict[str, Any]:
    return {trees.path_name(path): leaf for path, leaf in trees.leaves_with_path(tree)}


def _found_in(pattern: str, tree: Any) -> bool:
    return any(re.search(pattern, name) for name in _names(tree))


def _kinds(axes: Axes, *of: Any) -> dict[str, _Found]:
    """The matches of the trees; every pattern finds a leaf of one of them."""
    for pattern in axes:
        if not any(_found_in(pattern, tree) for tree in of):
            names = ", ".join(name for tree in of for name in _names(tree))
            raise InputError(f"axes: {pattern!r} finds no leaf; there are {names}")
    return _matches(axes, of[0])


def _matches(axes: Axes, tree: Any) -> dict[str, _Found]:
    found = {}
    for name, leaf in _names(tree).items():
        for pattern, kinds in axes.items():
            match = re.search(pattern, name)
            if match is None:
                continue
            if len(kinds) != jnp.ndim(leaf) or not {*kinds} <= {*_KINDS}:
                raise InputError(
                    f"axes: {name} of shape {jnp.shape(leaf)} needs a kind for each "
                    f"axis, 'width', 'depth' or None; got {tuple(kinds)}"
                )
            number = match.groupdict().get("block")
            found[name] = _Found(kinds, None if number is None else int(number))
            break
    return found


def _kept(
    found: _Found | None, shape: tuple[int, ...], sub: SubNetwork
) -> jax.Array | None:
    """Booleans that broadcast to a leaf; ``None``: all of it."""
    if found is None:
        return None
    kept = None if found.block is None else jnp.asarray(found.block < sub.depth)
    for axis, (size, kind) in enumerate(zip(shape, found.kinds, strict=True)):
        if kind is None:
            continue
        active = active_units(size, sub.width) if kind == "width" else sub.depth
        mask = jnp.expand_dims(
            prefix_mask(size, active),
            [i for i in range(len(shape)) if i != axis],
        )
        kept = mask if kept is None else _both(kept, mask, len(shape))
    return None if kept is None else _of_rank(kept, len(shape))


def _both(a: jax.Array, b: jax.Array, ndim: int) -> jax.Array:
    return _of_rank(a, ndim) & _of_rank(b, ndim)


def _of_rank(x: jax.Array, ndim: int) -> jax.Array:
    return x.reshape((1,) * (ndim - x.ndim) + x.shape)
