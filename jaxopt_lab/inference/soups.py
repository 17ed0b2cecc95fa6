"""Averages of the parameters of several models with one architecture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import jax
import jax.numpy as jnp

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.options import POSITIVE_OR_INFINITE, check_arguments
from jaxopt_lab.core.shapes import flattened
from jaxopt_lab.core.trees import magnitude_dtype, safe_sqrt, wide_dtype
from jaxopt_lab.core.typing import Params


def interpolate(first: Params, second: Params, weight: Any) -> Params:
    r"""The parameters :math:`\lambda \theta_1 + (1 - \lambda) \theta_2`.

    Args:
      first: :math:`\theta_1`.
      second: :math:`\theta_2`, of the same tree, shapes and types.
      weight: :math:`\lambda`, a number or a scalar array.

    Returns:
      The tree, combined in float32 (float64 for float64), in the types of ``first``.

    Raises:
      InputError: the trees do not match, or a leaf is no floating or complex array.

    >>> interpolate({"w": jnp.ones(2)}, {"w": jnp.zeros(2)}, 0.25)["w"].tolist()
    [0.25, 0.25]
    """
    first, second = checked([first, second])

    def mixed(a: jax.Array, b: jax.Array) -> jax.Array:
        wide = wide_dtype(a.dtype)
        share = jnp.asarray(weight).astype(magnitude_dtype(a.dtype)).astype(wide)
        return (share * a.astype(wide) + (1 - share) * b.astype(wide)).astype(a.dtype)

    return jax.tree.map(mixed, first, second)


def uniform_soup(models: Sequence[Params] | Mapping[Any, Params]) -> Params:
    r"""The mean :math:`\frac1K \sum_k \theta_k` of the parameters of models.

    Args:
      models: trees of one structure, with leaves of the same shapes and types.

    Returns:
      The tree; sums in float32 (float64 for float64).

    Raises:
      InputError: there is no model, the trees do not match, or a leaf is no floating
        or complex array.

    Source: Wortsman et al., "Model soups", 2022 (https://arxiv.org/abs/2203.05482).

    >>> uniform_soup([{"w": jnp.ones(2)}, {"w": jnp.zeros(2)}])["w"].tolist()
    [0.5, 0.5]
    """
    trees = checked(models)

    def mean(*leaves: jax.Array) -> jax.Array:
        wide = wide_dtype(leaves[0].dtype)
        total = sum((x.astype(wide) for x in leaves[1:]), leaves[0].astype(wide))
        return (total / jnp.asarray(len(leaves), wide)).astype(leaves[0].dtype)

    return jax.tree.map(mean, *trees)


def delta_soup(
    start: Params,
    models: Sequence[Params] | Mapping[Any, Params],
    *,
    temperature: Annotated[float, POSITIVE_OR_INFINITE] = 1.0,
) -> Params:
    r"""A soup of changes, weighted in every array by their sizes.

    .. math:: \theta = \theta_0 + \sum_k w_k \Delta_k, \quad
        \Delta_k = \theta_k - \theta_0, \quad
        w = \operatorname{softmax}(s / T), \quad
        s_k = \|\Delta_k\| / \sum_j \|\Delta_j\|,

    array by array. At :math:`T = \infty`, and where nothing changed, it is the uniform
    soup.

    Args:
      start: :math:`\theta_0`, from which all models were trained.
      models: :math:`\theta_k`, trees that match ``start``.
      temperature: :math:`T`.

    Returns:
      The tree; norms and sums in float32 (float64 for float64). Derivatives are finite
      where a change is zero.

    Raises:
      InputError: there is no model, the trees do not match, or a leaf is no floating
        or complex array.

    From the abstract of CoDiEmb, which fuses checkpoints by how far each array moved;
    its code is not public, so the norm and the softmax of its shares are ours.

    >>> start, one, two = ({"w": jnp.full(2, x)} for x in (0.0, 1.0, 3.0))
    >>> delta_soup(start, [one, two], temperature=1e-3)["w"].tolist()
    [3.0, 3.0]
    """
    check_arguments(delta_soup, {"temperature": temperature})
    origin, *trees = checked([start, *checked(models)])

    def merged(base: jax.Array, *leaves: jax.Array) -> jax.Array:
        wide, real = wide_dtype(base.dtype), magnitude_dtype(base.dtype)
        changes = jnp.stack([x.astype(wide) - base.astype(wide) for x in leaves])
        squares = jnp.square(changes.real) + jnp.square(changes.imag)
        norms = safe_sqrt(jnp.sum(flattened(squares), axis=1))
        total = jnp.sum(norms)
        shares = norms / jnp.where(total > 0, total, 1)
        weights = jax.nn.softmax(shares / jnp.asarray(temperature, real))
        change = jnp.tensordot(weights.astype(wide), changes, 1)
        return (base.astype(wide) + change).astype(base.dtype)

    return jax.tree.map(merged, origin, *trees)


def checked(models: Sequence[Params] | Mapping[Any, Params]) -> list[Params]:
    """Trees of arrays that can be averaged.

    Args:
      models: the trees.

    Returns:
      Them as a list, their leaves as arrays.

    Raises:
      InputError: there is none, they do not match, or a leaf cannot be averaged.
    """
    trees = list(models.values()) if isinstance(models, Mapping) else list(models)
    if not trees:
        raise InputError("models must hold at least one tree of parameters; got none")
    wanted = jax.tree_util.tree_flatten_with_path(trees[0])
    for number, tree in enumerate(trees):
        found = jax.tree_util.tree_flatten_with_path(tree)
        if found[1] != wanted[1]:
            raise InputError(
                "models must be trees of one structure; model "
                f"{number} has {found[1]}, model 0 has {wanted[1]}"
            )
        for (path, leaf), (_, first) in zip(found[0], wanted[0], strict=True):
            _check_leaf(jax.tree_util.keystr(path), number, leaf, first)
    return [jax.tree.map(jnp.asarray, tree) for tree in trees]


def _check_leaf(path: str, number: int, leaf: Any, first: Any) -> None:
    dtype, wanted = jnp.result_type(leaf), jnp.result_type(first)
    if not jnp.issubdtype(dtype, jnp.inexact):
        raise InputError(f"only floating and complex arrays merge; {path} is {dtype}")
    if jnp.shape(leaf) != jnp.shape(first) or dtype != wanted:
        raise InputError(
            f"models must match; {path} is {dtype}{list(jnp.shape(leaf))} in model "
            f"{number} and {wanted}{list(jnp.shape(first))} in model 0"
        )
