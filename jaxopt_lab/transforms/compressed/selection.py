"""The choice of the arrays of a state that are coded, and their roles."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Literal

import jax
import jax.numpy as jnp

from jaxopt_lab.core import trees
from jaxopt_lab.core.options import COUNT, check_arguments
from jaxopt_lab.core.typing import Params

Role = Literal["m", "v"]
Select = Callable[[str, jax.ShapeDtypeStruct], Role | None]

# As optax's states and ours call them.
FIRST_MOMENTS = ("mu", "trace", "average")
SECOND_MOMENTS = ("nu", "nu_max", "sum_of_squares", "e_g", "e_x", "mu_sq")


class StatePath(str):
    """The path of an array of a state, such as ``"0/mu/dense/kernel"``.

    Attributes:
      field: the part of it that is the state's own, ``"0/mu"``; the rest is the path of
        the parameter that the array belongs to.
      exact: whether a method computes from it what it takes back in the next step, so
        that it must be stored as it is.
    """

    field: str
    exact: bool

    def __new__(
        cls, path: Sequence[Any], own: Sequence[Any], exact: bool = False
    ) -> StatePath:
        made = super().__new__(cls, trees.path_name(path))
        made.field = trees.path_name(own)
        made.exact = exact
        return made


def exact_paths(state: Any) -> set[tuple[Any, ...]]:
    """The paths of the arrays of a state that must not be rounded.

    Args:
      state: a state, or its shapes and dtypes. A part of it names such moments in a
        method ``exact_moments``.

    Returns:
      Key paths.
    """

    def tells(x: Any) -> bool:
        return hasattr(type(x), "exact_moments")

    found: set[tuple[Any, ...]] = set()
    for path, node in jax.tree.leaves_with_path(state, is_leaf=tells):
        if not tells(node):
            continue
        names = set(node.exact_moments())
        for below, _ in jax.tree.leaves_with_path(tuple(node)):
            if names & {getattr(key, "name", None) for key in below}:
                own = (jax.tree_util.GetAttrKey(node._fields[below[0].idx]), *below[1:])
                found.add((*path, *own))
    return found


def own_paths(state: Any, params: Params) -> list[tuple[Any, ...]]:
    """The part of the path of each leaf of a state that is no parameter's path.

    Args:
      state: a state, or its shapes and dtypes.
      params: the parameters.

    Returns:
      Key paths in the order of the leaves.

    >>> state, params = {"mu": {"nu": 1.0}, "count": 0}, {"nu": 2.0}
    >>> [trees.path_name(path) for path in own_paths(state, params)]
    ['count', 'mu']
    """
    known = {path for path, _ in jax.tree.leaves_with_path(params)}
    found = []
    for path, _ in jax.tree.leaves_with_path(state):
        ends = (n for n in range(len(path) + 1) if path[n:] in known)
        found.append(path[: next(ends, len(path))])
    return found


def role_of(path: str) -> Role | None:
    """The role of an array of a state, by the name of its field.

    Args:
      path: the state's own part of its path, such as ``"0/mu"``; see ``StatePath``.

    Returns:
      ``"m"`` for a first moment, which has both signs, ``"v"`` for a second moment,
      which has none, ``None`` for anything else.

    >>> role_of("0/mu"), role_of("nu"), role_of("count")
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
      ``select(path, leaf)`` for ``quantize_state``, which gives it a ``StatePath``:
      names of parameters (``"mu"``) are not taken for those of fields, and a moment
      that a method needs as it is (``momentum_sam``) is left out.

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
        if getattr(path, "exact", False) or math.prod(leaf.shape) < min_size:
            return None
        if where and not where(path, leaf):
            return None
        # Parameters may be called like moments; a plain string is all of a path.
        return role_of(getattr(path, "field", path))

    return select
