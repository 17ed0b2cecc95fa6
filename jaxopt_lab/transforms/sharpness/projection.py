"""Parts of a gradient along and across another one, over all tensors together."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import PyTree

from jaxopt_lab.core import trees


def global_dot(one: PyTree, two: PyTree) -> jax.Array:
    """Inner product over all leaves together, accumulated in float32 or better.

    Args:
      one: tree of real arrays.
      two: tree of the same structure and shapes.

    Returns:
      Scalar; 0 for empty trees.

    >>> float(global_dot({"a": jnp.ones(2)}, {"a": jnp.array([1.0, 2.0])}))
    3.0
    """

    def product(x: jax.Array, y: jax.Array) -> jax.Array:
        wide = trees.accumulation_dtype(jnp.result_type(x, y))
        return jnp.sum(x.astype(wide) * y.astype(wide))

    products = jax.tree.leaves(jax.tree.map(product, one, two))
    if not products:
        return jnp.zeros((), jnp.float32)
    wide = any(x.dtype == jnp.float64 for x in products)
    dtype = jnp.float64 if wide else jnp.float32
    return sum((x.astype(dtype) for x in products), jnp.zeros((), dtype))


def across(gradient: PyTree, along: PyTree) -> PyTree:
    """The part of a gradient that is orthogonal to another one.

    Args:
      gradient: tree of real arrays.
      along: tree of the same structure; where all of it is zero there is nothing to
        be orthogonal to, and the whole gradient is returned.

    Returns:
      ``gradient - (<gradient, along> / ||along||^2) along``, in its own dtypes;
      finite derivatives everywhere.

    >>> across(jnp.array([3.0, 4.0]), jnp.array([2.0, 0.0])).tolist()
    [0.0, 4.0]
    """
    norm = trees.global_norm(along)
    dot = global_dot(gradient, along).astype(norm.dtype)
    # Twice by the norm: its square underflows for small gradients.
    part = trees.safe_divide(trees.safe_divide(dot, norm), norm)

    def one(g: jax.Array, a: jax.Array) -> jax.Array:
        wide = trees.accumulation_dtype(g.dtype)
        return (g.astype(wide) - part.astype(wide) * a.astype(wide)).astype(g.dtype)

    return jax.tree.map(one, gradient, along)
