"""Terms of the loss that layers leave in the model state."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp


def summed_penalties(model_state: Any, name: str) -> jax.Array:
    """The sum of all entries of a name in nested dicts.

    Args:
      model_state: the *new* state of a training call, inside of the loss function.
      name: of the entries, scalars.

    Returns:
      A scalar; 0 where there are none.

    >>> float(summed_penalties({"a": {"p": jnp.array(0.5)}, "p": jnp.array(1.0)}, "p"))
    1.5
    """
    found = [
        leaf
        for path, leaf in jax.tree.leaves_with_path(model_state)
        if getattr(path[-1], "key", None) == name
    ]
    return sum(found, jnp.zeros(()))
