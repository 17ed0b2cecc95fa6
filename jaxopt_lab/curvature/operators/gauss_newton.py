"""The generalized Gauss-Newton matrix over a data set, times vectors."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from jax import Array

from jaxopt_lab.core.typing import Batch, MaskOrFn, Params, PyTree
from jaxopt_lab.curvature.operators.blocks import split
from jaxopt_lab.curvature.operators.dataset import Reduce, over_batches
from jaxopt_lab.curvature.operators.operator import Operator
from jaxopt_lab.curvature.operators.products import GgnProduct, Weights


def ggn(
    model_fn: Callable[[Any, Batch], PyTree],
    output_loss_fn: Callable[[PyTree, Batch], Array],
    params: Params,
    batches: Iterable[Batch],
    *,
    mask: MaskOrFn | None = None,
    example_weights: Weights = None,
    reduce: Reduce = "auto",
) -> Operator:
    r"""Generalized Gauss-Newton matrix of the mean loss, as an operator.

    .. math::
        G v = J^\top\, \frac{\partial^2 L}{\partial z^2}\, J v, \quad
        z = f(w), \; J = \partial f / \partial w.

    It is the Hessian without the curvature of the model: positive semi-definite for
    a loss convex in the outputs, and equal to the Hessian where the gradient of the
    loss at the outputs is zero. For cross-entropy and squared error it is the Fisher
    information (see ``fisher``).

    Args:
      model_fn: ``model_fn(params, batch) -> outputs``, an array or a tree of them.
      output_loss_fn: ``output_loss_fn(outputs, batch) -> scalar``, the mean over the
        batch's examples. Its convention of the mean scales G: a squared error that
        is also averaged over C outputs gives 1/C of it.
      params: tree of parameters, cast up to float32.
      batches: as in ``hessian``.
      mask: as in ``hessian``.
      example_weights: as in ``hessian``.
      reduce: as in ``hessian``.

    Returns:
      An ``Operator``; a product costs about 1.6 gradients of the data set.

    Raises:
      InputError: the mask or the batches do not fit, or an option is unknown.

    >>> import jax.numpy as jnp
    >>> model = lambda w, x: x @ w
    >>> loss = lambda z, x: jnp.mean(z**2) / 2
    >>> g = ggn(model, loss, jnp.zeros(2), [jnp.array([[2.0, 0.0], [0.0, 1.0]])])
    >>> g.matvec(jnp.ones(2)).tolist()
    [2.0, 0.5]

    Reference: Schraudolph, "Fast curvature matrix-vector products for second-order
    gradient descent", Neural Computation 14 (2002).
    """
    product = GgnProduct(
        example_weights=example_weights,
        model_fn=model_fn,
        output_loss_fn=output_loss_fn,
    )
    return over_batches(product, split(params, mask), batches, reduce=reduce)
