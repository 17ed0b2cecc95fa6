"""The point of a curvature operator, split into free and fixed parameters."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from jaxopt_lab.core import trees
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.typing import MaskOrFn, Params, PyTree


class Point(NamedTuple):
    """Parameters, split by a mask.

    Attributes:
      free: the parameters that a vector runs over, in float32 or wider; ``None``
        elsewhere.
      fixed: all others; ``None`` where ``free`` has one.
    """

    free: PyTree
    fixed: PyTree

    def merge(self, free: PyTree) -> Params:
        """All parameters, with these as the free ones."""
        return jax.tree.map(
            lambda a, b: b if a is None else a,
            free,
            self.fixed,
            is_leaf=lambda x: x is None,
        )


def split(params: Params, mask: MaskOrFn | None) -> Point:
    """Split parameters by a mask, floating ones cast up to float32.

    Args:
      params: the parameters. Leaves of integer type, and typed keys, never move.
      mask: leaves that move: a tree of booleans, a prefix of one, or a function of
        the parameters. Default: all floating ones.

    Returns:
      The point.

    Raises:
      InputError: the mask does not fit, has traced entries, or leaves nothing; a
        parameter is complex.
    """
    full = trees.resolve_mask(mask, params)

    def taken(path: Any, x: Any, chosen: Any) -> bool:
        if isinstance(chosen, Tracer):
            raise InputError("mask must be known at trace time; got a traced boolean")
        if chosen and jnp.iscomplexobj(x):
            raise InputError(
                "curvature is defined for real parameters; got "
                f"{jnp.result_type(x)} at {trees.path_name(path)}"
            )
        return bool(chosen) and trees.is_floating(x)

    chosen = jax.tree_util.tree_map_with_path(taken, params, full)
    wide = jax.tree.map(_cast_up, params)
    free = jax.tree.map(lambda m, x: x if m else None, chosen, wide)
    fixed = jax.tree.map(lambda m, x: None if m else x, chosen, wide)
    if trees.count(free) == 0:
        raise InputError("the mask leaves no parameter; at least one entry is needed")
    return Point(free, fixed)


def _cast_up(x: Any) -> jax.Array:
    x = jnp.asarray(x)
    if jnp.issubdtype(x.dtype, np.floating) and jnp.finfo(x.dtype).bits < 32:
        return x.astype(np.float32)
    return x
