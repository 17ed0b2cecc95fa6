"""Means over a device axis, correct under both pmap and shard_map."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jaxopt_lab.core.trees import is_floating
from jaxopt_lab.core.typing import PyTree


def _varies_over(x: Any) -> frozenset[str]:
    aval = jax.typeof(x)
    # jax 0.10.2 keeps the set here; later versions in `vma`.
    manual = getattr(aval, "manual_axis_type", None)
    return manual.varying if manual is not None else getattr(aval, "vma", frozenset())


def varying(tree: PyTree, axis_name: str | None) -> PyTree:
    """The tree, marked as differing between the devices of an axis.

    Inside ``shard_map`` with ``check_vma`` the gradient with respect to a replicated
    parameter is already summed over the axis: a ``pmean`` after it changes nothing
    and the result is too large by the number of devices. The gradient with
    respect to a varying copy is the device's own, everywhere.

    Args:
      tree: arrays; leaves that vary already, and those of no floating type, stay.
      axis_name: the axis, or None for no axis.

    Returns:
      The marked tree, the same values.
    """
    # Under a vmap that names its axis (chex.fake_pmap) gradients are each lane's own.
    if axis_name not in jax.sharding.get_abstract_mesh().manual_axes:
        return tree

    def mark(x: Any) -> Any:
        if not is_floating(x) or axis_name in _varies_over(x):
            return x
        return jax.lax.pcast(x, axis_name, to="varying")

    return jax.tree.map(mark, tree)


def varying_as(tree: PyTree, like: jax.Array) -> PyTree:
    """The tree, marked as differing between the devices of the axes that another does.

    Args:
      tree: arrays.
      like: an array.

    Returns:
      The tree, the same values.
    """
    for axis_name in _varies_over(like):
        tree = varying(tree, axis_name)
    return tree


def pmean(
    tree: PyTree, axis_name: str | None, dtype: DTypeLike | None = None
) -> PyTree:
    """Mean of the floating leaves over an axis; other leaves stay as they are.

    Args:
      tree: arrays.
      axis_name: axis of ``pmap`` or ``shard_map``, or None for no axis.
      dtype: type in which wider leaves are sent; None: their own.

    Returns:
      The averaged tree, in its own dtypes.
    """
    if axis_name is None:
        return tree

    def mean(x: Any) -> Any:
        if not is_floating(x):
            return x
        sent = narrowed(x, dtype)
        return jax.lax.pmean(sent, axis_name).astype(x.dtype)

    return jax.tree.map(mean, tree)


def narrowed(x: jax.Array, dtype: DTypeLike | None) -> jax.Array:
    """An array cast to a type for sending, if that is narrower than its own.

    Args:
      x: a floating array, real or complex.
      dtype: a floating type, or None.

    Returns:
      The array, rounded if need be.
    """
    if dtype is None or jnp.finfo(dtype).bits >= jnp.finfo(x.dtype).bits:
        return x
    if jnp.iscomplexobj(x):  # complex64 is the narrowest of its kind
        return x.astype(jnp.promote_types(dtype, jnp.complex64))
    return x.astype(dtype)
