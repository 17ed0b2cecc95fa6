"""Hierarchical group lasso over ordered components, and its proximal link."""
# Its examples wait for pytest --full.

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxopt_lab.core import trees
from jaxopt_lab.core.checks import increment, require_real, value_at
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.options import NON_NEGATIVE, check_arguments
from jaxopt_lab.core.shapes import flattened
from jaxopt_lab.core.typing import Params, Scalar, ScalarOrSchedule, Updates

FACTORS = ((r"(^|/)u$", -1), (r"(^|/)v$", 0))


class ProximalGroupLassoState(NamedTuple):
    """State of ``proximal_group_lasso``.

    Attributes:
      count: int32, number of updates so far.
    """

    count: jax.Array


def hierarchical_group_lasso(u: jax.Array, v: jax.Array) -> jax.Array:
    r"""Norms of the tails of two factors, summed: later components cost more.

    .. math:: \sum_b \|U_{\ge b}\|_F + \|V_{\ge b}\|_F

    Args:
      u: ``(n, r)``, its components in columns.
      v: ``(r, m)``, its components in rows.

    Returns:
      A scalar; float32 for narrower factors. Its gradient is 0 where a tail is 0.

    Raises:
      InputError: the shapes are not those of two factors.

    >>> float(hierarchical_group_lasso(jnp.array([[3.0, 4.0]]), jnp.zeros((2, 1))))
    9.0

    Reference: Horvath et al. 2024, arXiv:2308.14929.
    """
    if u.ndim != 2 or v.ndim != 2 or u.shape[1] != v.shape[0]:
        raise InputError(
            "hierarchical_group_lasso takes factors of shapes (n, r) and (r, m); got "
            f"{u.shape} and {v.shape}"
        )
    return sum(
        (jnp.sum(trees.safe_sqrt(_tails(x, axis))) for x, axis in ((u, 1), (v, 0))),
        start=jnp.zeros((), trees.accumulation_dtype(u.dtype)),
    )


def group_lasso_factors(x: jax.Array, axis: int, strength: Scalar) -> jax.Array:
    r"""Factors by which the proximal step of nested groups multiplies components.

    .. math:: \arg\min_z \tfrac12 \|z - x\|^2 + s \sum_b \|z_{\ge b}\|

    The groups are nested, so that shrinking the norms of one after the other, the
    smallest first, is the exact minimum.

    Args:
      x: any array.
      axis: that of the components.
      strength: s, at least 0.

    Returns:
      ``(x.shape[axis],)`` in [0, 1], falling; float32 for narrower arrays.

    >>> group_lasso_factors(jnp.array([4.0, 0.5]), 0, 1.0).tolist()
    [0.75, 0.0]

    Reference: Jenatton et al. 2011, arXiv:1009.2139, for groups of a tree.
    """
    squares = _squares(x, axis)
    s = jnp.asarray(strength, squares.dtype)

    def shrink(rest: jax.Array, square: jax.Array) -> tuple[jax.Array, jax.Array]:
        norm = trees.safe_sqrt(square + rest * rest)
        left = jnp.maximum(norm - s, 0)
        # Without strength nothing changes, a tail of zeros among it.
        factor = jnp.where(s > 0, trees.safe_divide(left, norm), 1)
        return left, factor

    _, each = jax.lax.scan(shrink, jnp.zeros_like(s), squares, reverse=True)
    return jnp.cumprod(each)


def proximal_group_lasso(
    strength: Annotated[ScalarOrSchedule, NON_NEGATIVE] = 1e-5,
    *,
    components: Sequence[tuple[str, int]] = FACTORS,
) -> optax.GradientTransformationExtraArgs:
    r"""Proximal step of the hierarchical group lasso; the last link of a chain.

    .. math:: u \leftarrow
        \mathrm{prox}_{s \sum_b \|\cdot_{\ge b}\|}(p + u) - p

    A penalty in the loss brings the last components near 0; this makes them exact
    zeros.

    Args:
      strength: s, the step size times the weight of the penalty; a number, a traced
        scalar, or a schedule of the number of updates. At 0 the updates stay.
      components: pairs ``(regular expression, axis)``: the leaves whose path it finds
        have their components along that axis; the first that finds one counts. By
        default those named ``u``, in columns, and ``v``, in rows. Other leaves are not
        touched.

    Returns:
      The link. Its ``update`` needs ``params``.

    Raises:
      InputError: the strength is negative, an expression finds no leaf, a leaf has no
        such axis, or parameters are complex.

    Memory: none beside a count. Differentiable, zeros included; zero where a tail is
    shrunk to 0.

    Decisions: paper and code add the penalty to the loss; the proximal step, of the
    same penalty, is ours. It is that of plain gradient descent: behind Adam, whose step
    sizes differ, it is an approximation. It has no row among the transforms: it is a
    step of the factors that a layer names, and refuses parameters without them, such as
    every problem of the battery.

    >>> p = {"u": jnp.array([[3.0, 0.5]]), "v": jnp.array([[1.0], [0.0]])}
    >>> tx = optax.chain(optax.sgd(0.1), proximal_group_lasso(1.0))
    >>> u, _ = tx.update(jax.tree.map(jnp.zeros_like, p), tx.init(p), p)
    >>> (p["u"] + u["u"]).round(4).tolist()
    [[2.0, 0.0]]

    Reference: Horvath et al. 2024, arXiv:2308.14929, for the penalty.
    """
    check_arguments(proximal_group_lasso, locals())

    def init(params: Params) -> ProximalGroupLassoState:
        params = trees.arrays(params)
        require_real("proximal_group_lasso", params)
        _axes(params, components)
        return ProximalGroupLassoState(jnp.zeros((), jnp.int32))

    def update(
        updates: Updates,
        state: Any,
        params: Params | None = None,
        **extra: Any,
    ) -> tuple[Updates, ProximalGroupLassoState]:
        del extra
        if params is None:
            raise InputError(
                "proximal_group_lasso needs params: call update(u, state, params)"
            )
        updates, params = trees.arrays((updates, params))
        s = value_at(strength, state.count)

        def one(u: jax.Array, p: jax.Array, axis: int | None) -> jax.Array:
            if axis is None or not p.size:
                return u
            wide = trees.accumulation_dtype(p.dtype)
            pw, uw = p.astype(wide), u.astype(wide)
            factor = group_lasso_factors(pw + uw, axis, s)
            shape = [1] * p.ndim
            shape[axis] = p.shape[axis]
            f = factor.reshape(shape)
            return (f * uw - (1 - f) * pw).astype(u.dtype)

        leaves, structure = jax.tree.flatten(params)
        flat = (jax.tree.leaves(updates), leaves, _axes(params, components))
        made = [one(*leaf) for leaf in zip(*flat, strict=True)]
        new = ProximalGroupLassoState(increment(state.count))
        return jax.tree.unflatten(structure, made), new

    return optax.GradientTransformationExtraArgs(init, update)


def _squares(x: jax.Array, axis: int) -> jax.Array:
    """Squared norms of the components."""
    x = jnp.moveaxis(x.astype(trees.accumulation_dtype(x.dtype)), axis, 0)
    return jnp.sum(flattened(jnp.square(x)), axis=1)


def _tails(x: jax.Array, axis: int) -> jax.Array:
    """Squared norms of a component and all behind it."""
    return jax.lax.cumsum(_squares(x, axis), reverse=True)


def _axes(params: Params, components: Sequence[tuple[str, int]]) -> list[int | None]:
    """The axis of each leaf's components, or none."""
    found: list[int | None] = []
    used = set()
    for path, leaf in trees.leaves_with_path(params):
        name = trees.path_name(path)
        axis = None
        for pattern, where in components:
            if re.search(pattern, name):
                used.add(pattern)
                if not -leaf.ndim <= where < leaf.ndim:
                    raise InputError(
                        f"components: {name} of shape {leaf.shape} has no axis {where}"
                    )
                axis = where
                break
        found.append(axis)
    for pattern, _ in components:
        if found and pattern not in used:
            raise InputError(f"components: no leaf's path has {pattern!r}")
    return found
