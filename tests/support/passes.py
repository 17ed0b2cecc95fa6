"""Passes over a batch, counted in the program that is traced.

Calls of the loss while a step is traced tell less: under ``vmap`` one call is that of
all parts of a batch, and a function that only asks for the loss's program calls it too.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
from jax.ad_checkpoint import checkpoint_name

from jaxopt_lab.core.jaxprs import equations

_NAME = "examples of one pass"


def marked(x: jax.Array) -> jax.Array:
    """The array, to be called in a loss on a leaf that nothing is derived by."""
    return checkpoint_name(x, _NAME)


def passes(f: Callable[..., Any], *args: Any, like: Any) -> float:
    """Passes over the whole batch in the program of ``f(*args)``.

    Args:
      f: calls a loss that has ``marked`` one leaf of its batch.
      *args: its arguments; arrays or ``jax.ShapeDtypeStruct``.
      like: that leaf of the whole batch.

    Returns:
      The number, a part of the batch as its share; every branch counts, the body of a
      loop once.
    """
    found = equations(jax.make_jaxpr(f)(*args).jaxpr)
    named = [eqn for eqn in found if eqn.params.get("name") == _NAME]
    return sum(eqn.outvars[0].aval.size for eqn in named) / like.size
