"""The sum of gradients at several points, without a gradient for each of them."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp

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

    # The slope is linear, so that its derivative is the same everywhere; a point has
    # the devices' axes over which the result varies, which zeros lack.
    return jax.grad(slope)(loops.take(points, 0))
