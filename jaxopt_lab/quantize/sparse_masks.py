"""Masks of sparse training: densities, magnitudes, growing by sparse gradients."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxopt_lab.core import trees
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.options import (
    COUNT,
    NON_NEGATIVE,
    SHARE,
    UNIT,
    check_arguments,
)
from jaxopt_lab.core.typing import Params, PyTree, Scalar

_HALVINGS = 100


class SparseGradient(NamedTuple):
    """The largest entries of a gradient, of one leaf.

    Attributes:
      index: places in the flat leaf, int32, ``(k,)``; the leaf's size for no entry.
      value: ``(k,)``.
    """

    index: jax.Array
    value: jax.Array


def noisy_layer_densities(
    key: jax.Array,
    sizes: Mapping[str, int],
    density: Annotated[float, SHARE],
    *,
    noise: Annotated[float, NON_NEGATIVE] = 0.5,
) -> dict[str, float]:
    r"""Densities of layers around a target, with that of all of them together.

    .. math:: d_l = \min(1, f \, e^{\sigma z_l}), \quad z_l \sim N(0, 1), \quad
        \sum_l n_l d_l = \delta \sum_l n_l

    Args:
      key: of the draws.
      sizes: number of weights of each layer, by path.
      density: :math:`\delta`, share of active weights.
      noise: :math:`\sigma`; 0: the same density everywhere.

    Returns:
      Densities by path; f is found on the host.

    Raises:
      InputError: there is no layer, or an argument is out of range.

    >>> found = noisy_layer_densities(jax.random.key(0), {"a": 90, "b": 10}, 0.2)
    >>> round(90 * found["a"] + 10 * found["b"], 6)
    20.0
    """
    check_arguments(noisy_layer_densities, locals())
    if not sizes or min(sizes.values()) < 1:
        raise InputError(f"sizes must name layers with weights; got {dict(sizes)}")
    count = np.array(list(sizes.values()), np.float64)
    drawn = np.asarray(jax.random.normal(key, (len(sizes),)), np.float64)
    shape = np.exp(noise * drawn)
    low, high = 0.0, 1 / float(shape.min())
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        full = np.sum(count * np.minimum(1, middle * shape)) > density * count.sum()
        low, high = (low, middle) if full else (middle, high)
    found = np.minimum(1, high * shape)
    return dict(zip(sizes, found.tolist(), strict=True))


def magnitude_masks(params: Params, densities: Mapping[str, float]) -> PyTree:
    """Masks of the largest weights of each layer.

    Args:
      params: the parameters.
      densities: share of the weights to keep, by path, to the nearest number.

    Returns:
      Booleans as ``params``; true everywhere in other leaves. Of equal weights the
      first are kept.

    Raises:
      InputError: there is no such leaf, or a density is outside of 0 to 1.

    >>> w = {"kernel": jnp.array([[3.0, -4.0], [0.1, 1.0]]), "bias": jnp.zeros(2)}
    >>> magnitude_masks(w, {"kernel": 0.5})["kernel"].tolist()
    [[True, True], [False, False]]
    """
    names = [trees.path_name(path) for path, _ in trees.leaves_with_path(params)]
    for name, share in densities.items():
        if name not in names:
            raise InputError(
                f"densities: no leaf {name!r}; there are {', '.join(names)}"
            )
        if not 0 <= share <= 1:
            raise InputError(f"the density of {name} must lie in [0, 1]; got {share}")

    def one(path: Any, leaf: jax.Array) -> jax.Array:
        share = densities.get(trees.path_name(path))
        if share is None:
            return jnp.ones(jnp.shape(leaf), bool)
        size = math.prod(jnp.shape(leaf))
        return _ranks(-jnp.abs(leaf)) < round(share * size)

    return trees.map_with_path(one, params)


def masked(mask: PyTree, tree: PyTree) -> PyTree:
    """A tree with zeros where the mask is false.

    Args:
      mask: a tree of booleans of the shapes of the arrays.
      tree: the arrays.

    Returns:
      The tree, of the same types.

    >>> masked({"w": jnp.array([True, False])}, {"w": jnp.ones(2)})["w"].tolist()
    [1.0, 0.0]
    """
    return jax.tree.map(lambda m, x: jnp.where(m, x, 0), mask, tree)


def cosine_prune_fraction(
    step: jax.Array | int,
    end: Annotated[int, COUNT],
    *,
    alpha: Annotated[Scalar, UNIT] = 0.2,
) -> jax.Array:
    r"""The share of active weights to change, :math:`\frac\alpha2 (1 + \cos(\pi t/T))`.

    Args:
      step: t.
      end: T, from which on it is 0.
      alpha: the share at 0. The released code has 0.2.

    Returns:
      A scalar, float32.

    Raises:
      InputError: an argument is out of range.

    >>> [round(float(cosine_prune_fraction(t, 100)), 3) for t in (0, 50, 100, 200)]
    [0.2, 0.1, 0.0, 0.0]
    """
    check_arguments(cosine_prune_fraction, locals())
    t = jnp.clip(jnp.asarray(step, jnp.float32) / end, 0, 1)
    # The cosine of pi in float32 is -1 exactly.
    return jnp.asarray(alpha, jnp.float32) / 2 * (1 + jnp.cos(jnp.pi * t))


def top_k_sparse(
    grads: PyTree, mask: PyTree, k: Mapping[str, int] | int
) -> dict[str, SparseGradient]:
    """The largest gradients of inactive weights, which is all that a client sends.

    Args:
      grads: a gradient.
      mask: booleans, true for active weights.
      k: entries of each leaf, or of those with a path of their own.

    Returns:
      Entries by path, the largest first; leaves without ``k`` are left out.

    Raises:
      InputError: k is below 0.

    >>> grads = {"w": jnp.array([9.0, -2.0, 1.0])}
    >>> found = top_k_sparse(grads, {"w": jnp.array([True, False, False])}, 1)["w"]
    >>> found.index.tolist(), found.value.tolist()
    ([1], [-2.0])
    """
    found = {}
    active = jax.tree.leaves(mask)
    for (path, leaf), m in zip(trees.leaves_with_path(grads), active, strict=True):
        name = trees.path_name(path)
        count = k if isinstance(k, int) else k.get(name)
        if count is None:
            continue
        if count < 0:
            raise InputError(f"k must be at least 0; got {count} for {name}")
        flat, still = leaf.reshape(-1), ~m.reshape(-1)
        size = jnp.where(still, jnp.abs(flat), -1)
        value, index = jax.lax.top_k(size, min(count, flat.size))
        there = value >= 0
        index = jnp.where(there, index, flat.size).astype(jnp.int32)
        kept = jnp.where(there, flat[jnp.minimum(index, flat.size - 1)], 0)
        found[name] = SparseGradient(index, kept)
    return found


def sum_sparse(
    parts: Sequence[Mapping[str, SparseGradient]],
    weights: Sequence[float],
    like: PyTree,
) -> PyTree:
    """The weighted sum of sparse gradients of clients, on the server.

    Args:
      parts: of ``top_k_sparse``, one for each client.
      weights: of the clients, such as their numbers of examples.
      like: a tree of the leaves.

    Returns:
      Arrays as ``like``, divided by the sum of the weights; 0 where no client sent
      anything.

    Raises:
      InputError: there is not a weight for each client, or they sum to 0.

    >>> one = {"w": SparseGradient(jnp.array([1]), jnp.array([2.0]))}
    >>> sum_sparse([one, one], [1, 3], {"w": jnp.zeros(3)})["w"].tolist()
    [0.0, 2.0, 0.0]
    """
    total = float(sum(weights))
    if len(parts) != len(weights) or not parts or total <= 0:
        raise InputError(
            f"weights must be one for each of {len(parts)} clients, not all 0; got "
            f"{list(weights)}"
        )

    def one(path: Any, leaf: jax.Array) -> jax.Array:
        name = trees.path_name(path)
        made = jnp.zeros(leaf.size, leaf.dtype)
        for part, weight in zip(parts, weights, strict=True):
            if name in part:
                share = jnp.asarray(weight / total, leaf.dtype)
                index, value = part[name]
                made = made.at[index].add(share * value, mode="drop")
        return made.reshape(leaf.shape)

    return trees.map_with_path(one, like)


def prune_grow(
    params: Params, mask: PyTree, scores: PyTree, k: Mapping[str, Any] | Any
) -> tuple[Params, PyTree]:
    """Weights and masks with a few weights dropped and as many grown, in each layer.

    The k inactive weights of the largest scores become active, at 0; the k active ones
    of the smallest size become inactive, of which those just grown are none. So the
    density of a layer stays.

    Args:
      params: weights, 0 where inactive.
      mask: booleans.
      scores: gradients, or a sum of them.
      k: weights of each leaf, or of those with a path of their own; numbers or traced
        scalars, bounded by the numbers of active and of inactive weights.

    Returns:
      Weights and masks. Traceable; of equal ones the first are changed.

    >>> w, m = {"w": jnp.array([3.0, 1.0, 0.0])}, {"w": jnp.array([True, True, False])}
    >>> w, m = prune_grow(w, m, {"w": jnp.array([0.0, 0.0, 5.0])}, 1)
    >>> w["w"].tolist(), m["w"].tolist()
    ([3.0, 0.0, 0.0], [True, False, True])
    """

    def one(path: Any, w: jax.Array, m: jax.Array, g: jax.Array) -> Any:
        count = k.get(trees.path_name(path)) if isinstance(k, Mapping) else k
        if count is None:
            return w, m
        active = jnp.sum(m, dtype=jnp.int32)
        most = jnp.minimum(active, m.size - active)
        count = jnp.minimum(jnp.asarray(count).astype(jnp.int32), most)
        grown = ~m & (_ranks(jnp.where(m, jnp.inf, -jnp.abs(g))) < count)
        dropped = m & (_ranks(jnp.where(m, jnp.abs(w), jnp.inf)) < count)
        after = (m & ~dropped) | grown
        return jnp.where(after & m, w, 0), after

    paths = [path for path, _ in trees.leaves_with_path(params)]
    leaves, structure = jax.tree.flatten(params)
    columns = (paths, leaves, *(structure.flatten_up_to(t) for t in (mask, scores)))
    pairs = [one(*column) for column in zip(*columns, strict=True)]
    return tuple(structure.unflatten(column) for column in zip(*pairs, strict=True))


def _ranks(x: jax.Array) -> jax.Array:
    """The place of every entry among all in rising order, the first of equals first."""
    flat = x.reshape(-1)
    order = jnp.argsort(flat, stable=True)
    places = jnp.arange(flat.size, dtype=jnp.int32)
    return jnp.zeros(flat.size, jnp.int32).at[order].set(places).reshape(x.shape)
