"""The sum of gradients at several points, without a gradient for each of them."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from jaxopt_lab.core import jaxprs, loops, trees
from jaxopt_lab.core.typing import Params, PyTree, Updates

# loss(point, item) -> scalar
ItemLoss = Callable[[Params, PyTree], jax.Array]


def can_sum(loss: ItemLoss, point: Params, item: PyTree) -> bool:
    """Whether ``summed_gradient`` can take this loss, with the sum in float32.

    Args:
      loss: of one point and one item.
      point: one of the points; arrays or ``jax.ShapeDtypeStruct``.
      item: one of the items.

    Returns:
      False for parameters narrower than float32, whose gradients would be summed in
      their own type, and for a loss with a ``jax.custom_vjp``, which has no forward
      derivative. Costs one trace of the loss.
    """
    if any(trees.wide_dtype(x.dtype) != x.dtype for x in jax.tree.leaves(point)):
        return False
    program = jax.make_jaxpr(loss)(point, item).jaxpr
    names = (eqn.primitive.name for eqn in jaxprs.equations(program))
    return not any(name.startswith("custom_vjp") for name in names)


def summed_gradient(loss: ItemLoss, points: Params, items: PyTree) -> Updates:
    r"""The sum over the items of the gradients, each at its own point.

    .. math::
        \sum_j \nabla L_j(w_j)
        = \nabla_\delta \sum_j L_j(w_j + \delta) \big|_{\delta = 0}

    The shift :math:`\delta` is common to all, so a product :math:`x_j (w_j + \delta)`
    has one derivative for all items, ``x.T @ cotangent`` over the examples of all of
    them: the m gradients are never there. Under ``vmap`` of ``jax.grad`` XLA:CPU makes
    each and adds them up.

    Args:
      loss: ``loss(point, item) -> scalar``, differentiable forward and backward.
      points: tree of arrays with a leading axis, a point for each item; float32 or
        better.
      items: tree of arrays with the same leading axis.

    Returns:
      A tree like one point, ``jax.grad`` of the sum (not conjugated).

    Cost: the flops of the m gradients; memory of one gradient beside the points.
    Differentiable as the loss is.

    >>> loss = lambda w, x: jnp.sum(x * w**2)
    >>> points, items = jnp.array([1.0, 2.0]), jnp.array([3.0, 5.0])
    >>> float(summed_gradient(loss, points, items))  # 2 * 3 * 1 + 2 * 5 * 2
    26.0
    """

    def slope(shift: Params) -> jax.Array:
        """Derivative of the sum along a direction; linear in it."""

        def one(point: Params, item: PyTree) -> jax.Array:
            return jax.jvp(lambda p: loss(p, item), (point,), (shift,))[1]

        return jnp.sum(jax.vmap(one)(points, items))

    # Linear, so that its derivative is the same everywhere; a point has the devices'
    # axes over which the result varies, which zeros lack.
    leaves, tree = jax.tree.flatten(loops.take(points, 0))
    program = jax.make_jaxpr(lambda *x: slope(tree.unflatten(x)))(*leaves)
    rules = {"dot_general": _flat_product}

    def flat(leaves: list[jax.Array]) -> jax.Array:
        (total,) = jaxprs.evaluated(program.jaxpr, program.consts, leaves, rules=rules)
        return total

    return tree.unflatten(jax.grad(flat)(leaves))


def _flat_product(
    x: jax.Array, y: jax.Array, *, dimension_numbers: Any, **params: Any
) -> jax.Array:
    """``dot_general`` with one axis for all that are not summed over.

    The derivative by ``w`` of ``(items, examples, in) @ w`` sums over two axes, for
    which XLA:CPU copies the cotangent transposed, and the partitioner sends once for
    each axis that is divided over devices.
    """
    (of_x, of_y), batch = dimension_numbers
    plain = lambda x: all(axis is None for axis in jax.typeof(x).sharding.spec)
    if any(batch) or not (plain(x) and plain(y)) or params.get("out_sharding"):
        return lax.dot_general(x, y, dimension_numbers, **params)
    x, of_x, rows = _one_free_axis(x, of_x)
    y, of_y, columns = _one_free_axis(y, of_y)
    flat = lax.dot_general(x, y, ((of_x, of_y), batch), **params)
    return flat.reshape(rows + columns)


def _one_free_axis(
    x: jax.Array, summed: tuple[int, ...]
) -> tuple[jax.Array, tuple[int, ...], tuple[int, ...]]:
    """The operand with its free axes as one, its summed axes, and the free shape."""
    free = tuple(i for i in range(x.ndim) if i not in summed)
    shape = tuple(x.shape[i] for i in free)
    adjacent = free == tuple(range(free[0], free[0] + len(free))) if free else False
    if len(free) < 2 or not adjacent:
        return x, summed, shape
    first, last = free[0], free[-1]
    x = x.reshape(*x.shape[:first], math.prod(shape), *x.shape[last + 1 :])
    return x, tuple(i if i < first else i - len(free) + 1 for i in summed), shape
