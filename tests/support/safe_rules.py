"""A function with the safe rules of `jaxopt_lab.bilevel`, whatever it is for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.extend

from jaxopt_lab.bilevel.rewrite_jaxpr import rewrite_jaxpr
from jaxopt_lab.bilevel.safe_primitives import PLAIN, Slopes


def safe(fn: Callable[..., Any], slopes: Slopes = PLAIN) -> Callable[..., Any]:
    """``fn`` of arrays, its program rewritten.

    Args:
      fn: function of arrays.
      slopes: deliberate changes.

    Returns:
      It gives the same tree.
    """

    def call(*args: Any) -> Any:
        traced, out = jax.make_jaxpr(fn, return_shape=True)(*args)
        flat = jax.extend.core.jaxpr_as_fun(rewrite_jaxpr(traced, slopes))(*args)
        return jax.tree.unflatten(jax.tree.structure(out), flat)

    return call
