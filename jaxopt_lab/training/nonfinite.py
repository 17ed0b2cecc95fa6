"""Steps that are not taken because something in them is not finite."""

from __future__ import annotations

from typing import TypeVar

import jax
import jax.numpy as jnp

from jaxopt_lab.core import trees
from jaxopt_lab.core.typing import Updates

T = TypeVar("T")


def select_finite(
    loss: jax.Array, grads: Updates, updates: Updates, new: T, old: T
) -> tuple[T, jax.Array]:
    """The new values where loss, gradients and updates are finite, else the old ones.

    Args:
      loss: a scalar.
      grads: a tree of arrays.
      updates: a tree of arrays.
      new: a tree of arrays.
      old: another one, of the same structure.

    Returns:
      The values, and 1 where the old ones were kept, else 0, of the type of the loss.

    >>> one, nan = jnp.array(1.0), jnp.array(jnp.nan)
    >>> kept, skipped = select_finite(one, nan, one, one, 2 * one)
    >>> float(kept), float(skipped)
    (2.0, 1.0)
    """
    finite = jnp.isfinite(loss) & jnp.isfinite(trees.global_norm(grads))
    finite &= jnp.isfinite(trees.global_norm(updates))
    return trees.select(finite, new, old), 1 - finite.astype(loss.dtype)
