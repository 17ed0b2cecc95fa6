"""Orthogonal component of a gradient, over all tensors together."""

from __future__ import annotations

import jax

from jaxopt_lab.core import trees
from jaxopt_lab.core.typing import PyTree


def share_along(gradient: PyTree, along: PyTree) -> jax.Array:
    """The factor of another gradient in the projection of a gradient on it.

    Args:
      gradient: tree of floating arrays, real or complex.
      along: tree of the same structure.

    Returns:
      ``<gradient, along> / ||along||^2``; 0 where all of ``along`` is zero. Finite
      derivatives everywhere.

    >>> import jax.numpy as jnp
    >>> float(share_along(jnp.array([3.0, 4.0]), jnp.array([2.0, 0.0])))
    1.5
    """
    norm = trees.global_norm(along)
    dot = trees.dot(gradient, along).astype(norm.dtype)
    # Divided by the norm twice: its square underflows for small gradients.
    return trees.safe_divide(trees.safe_divide(dot, norm), norm)


def orthogonal_component(
    gradient: PyTree, along: PyTree, share: jax.Array | None = None
) -> PyTree:
    """The part of a gradient that is orthogonal to another one.

    Args:
      gradient: tree of floating arrays, real or complex.
      along: tree of the same structure; where all of it is zero there is nothing to
        be orthogonal to, and the whole gradient is returned.
      share: what ``share_along`` gives, where it is known.

    Returns:
      ``gradient - (<gradient, along> / ||along||^2) along``, in its own dtypes;
      finite derivatives everywhere.

    >>> import jax.numpy as jnp
    >>> orthogonal_component(jnp.array([3.0, 4.0]), jnp.array([2.0, 0.0])).tolist()
    [0.0, 4.0]
    """
    part = share_along(gradient, along) if share is None else share

    def one(g: jax.Array, a: jax.Array) -> jax.Array:
        wide = trees.wide_dtype(g.dtype)
        return (g.astype(wide) - part.astype(wide) * a.astype(wide)).astype(g.dtype)

    return jax.tree.map(one, gradient, along)
