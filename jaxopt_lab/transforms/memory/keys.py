"""Priorities of what a buffer keeps: norms of gradients."""

from __future__ import annotations

from typing import Literal, TypeAlias, get_args

import jax
import jax.numpy as jnp
from jaxtyping import PyTree

from jaxopt_lab.core import errors, trees
from jaxopt_lab.core.typing import Updates

KeyName: TypeAlias = Literal["global", "per_leaf", "true_norm"]


def check_key(name: str) -> KeyName:
    """``name`` itself, if it is the name of a key.

    Args:
      name: the name given.

    Returns:
      The same name.

    Raises:
      InputError: it is none of ``"global"``, ``"per_leaf"``, ``"true_norm"``.
    """
    if name not in get_args(KeyName):
        raise errors.unknown("key", name, get_args(KeyName))
    return name  # type: ignore[return-value]


def key_of(gradients: Updates, name: KeyName) -> PyTree:
    """The priority of a step.

    Args:
      gradients: a tree of arrays.
      name: ``"global"``: the sum of the norms of the tensors, one number for the
        whole tree (as the authors' code); ``"true_norm"``: the norm of all tensors
        together; ``"per_leaf"``: each tensor's own norm.

    Returns:
      A scalar, or a tree of scalars for ``"per_leaf"``; float32 or better.

    >>> tree = {"a": jnp.array([3.0]), "b": jnp.array([4.0])}
    >>> float(key_of(tree, "global")), float(key_of(tree, "true_norm"))
    (7.0, 5.0)
    """
    if name == "true_norm":
        return trees.global_norm(gradients)
    norms = trees.leaf_norms(gradients)
    if name == "per_leaf":
        return norms
    dtype = key_dtype(gradients)
    return sum(
        (norm.astype(dtype) for norm in jax.tree.leaves(norms)), jnp.zeros((), dtype)
    )


def key_dtype(tree: PyTree) -> jnp.dtype:
    """The type of the keys of a tree: float64 if any leaf is, else float32.

    Args:
      tree: gradients.

    Returns:
      The dtype.
    """
    kinds = [trees.accumulation_dtype(x.dtype) for x in jax.tree.leaves(tree)]
    return jnp.dtype(jnp.float64 if jnp.dtype(jnp.float64) in kinds else jnp.float32)
