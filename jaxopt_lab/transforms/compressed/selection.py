"""Which arrays of an optimizer's state are coded, and as what."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Annotated, Any, Literal

import jax
import jax.numpy as jnp

from jaxopt_lab.core.options import COUNT, check_arguments

Role = Literal["m", "v"]
Select = Callable[[str, jax.ShapeDtypeStruct], Role | None]

# As optax's states and ours call them.
FIRST_MOMENTS = ("mu", "trace", "average")
SECOND_MOMENTS = ("nu", "nu_max", "sum_of_squares", "e_g", "e_x", "mu_sq")


def role_of(path: str) -> Role | None:
    """What an array of a state is, by the name of its field.

    Args:
      path: its path, such as ``"0/mu/dense/kernel"``.

    Returns:
      ``"m"`` for a first moment, which has both signs, ``"v"`` for a second moment,
      which has none, ``None`` for anything else.

    >>> role_of("0/mu/dense/kernel"), role_of("nu"), role_of("count")
    ('m', 'v', None)
    """
    for name in path.split("/"):
        if name in FIRST_MOMENTS:
            return "m"
        if name in SECOND_MOMENTS:
            return "v"
    return None


def moments(
    min_size: Annotated[int, COUNT] = 4096,
    where: Callable[[str, jax.ShapeDtypeStruct], bool] | None = None,
) -> Select:
    """First and second moments of large tensors, by the names of their fields.

    Args:
      min_size: elements from which on a tensor is coded; small ones cost nothing and
        are often the sensitive ones (biases, norms). Counted in the whole tensor,
        however it is sharded.
      where: ``where(path, leaf)``: which of them; ``leaf`` has a shape and a dtype.

    Returns:
      ``select(path, leaf)`` for ``quantize_state``.

    Raises:
      InputError: ``min_size`` is no whole number of at least 1.

    >>> select = moments(where=lambda path, leaf: leaf.ndim >= 2)
    >>> select("0/nu/kernel", jax.ShapeDtypeStruct((64, 64), jnp.float32))
    'v'
    """
    check_arguments(moments, locals())

    def select(path: str, leaf: Any) -> Role | None:
        if not jnp.issubdtype(leaf.dtype, jnp.floating):
            return None
        if math.prod(leaf.shape) < min_size or (where and not where(path, leaf)):
            return None
        return role_of(path)

    return select
