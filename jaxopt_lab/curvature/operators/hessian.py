"""The Hessian of a loss over a data set, times vectors."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from jax import Array

from jaxopt_lab.core.typing import Batch, MaskOrFn, Params
from jaxopt_lab.curvature.operators.blocks import split
from jaxopt_lab.curvature.operators.dataset import Reduce, over_batches
from jaxopt_lab.curvature.operators.operator import Operator
from jaxopt_lab.curvature.operators.products import HessianProduct, Weights


def hessian(
    loss_fn: Callable[[Any, Batch], Array],
    params: Params,
    batches: Iterable[Batch],
    *,
    mask: MaskOrFn | None = None,
    example_weights: Weights = None,
    linearize: bool = False,
    reduce: Reduce = "auto",
) -> Operator:
    r"""Hessian of the mean loss over all examples, as an operator.

    .. math::
        H v = \frac{\sum_b n_b\, \nabla^2 L_b(w)\, v}{\sum_b n_b}, \quad
        \nabla^2 L_b(w)\, v = \partial_t \nabla L_b(w + t v) |_{t=0},

    forward-mode over reverse-mode differentiation, exact up to rounding.

    Args:
      loss_fn: ``loss_fn(params, batch) -> scalar``, the mean over the batch's
        examples. Batch normalization frozen, dropout off or with one fixed key:
        otherwise the loss is no sum over examples, and no two products share a
        matrix. Pass the same function object again at the next point: the compiled
        programs are cached by it.
      params: tree of parameters. Those narrower than float32 are cast up to it.
      batches: a list of batches, or an object that can be iterated for every
        product (a data loader; it is then read from the host each time). Sizes may
        differ. A batch may be sharded over devices along its examples.
      mask: parameters that the matrix covers: a tree of booleans, a prefix of
        one, or a function of the parameters. The others are constants: the result is
        a diagonal block. Vectors have ``None`` there. Default: all.
      example_weights: ``example_weights(batch)``, an array of the weight of every
        example, such as 0 for padding; their sum is the batch's n_b. ``loss_fn`` must
        be the mean under the same weights. Default: 1 each.
      linearize: store each batch's linearized gradient once. A product then costs
        about 2/3, and the residuals of all batches stay in memory (a few times the
        activations): for many products with few batches.
      reduce: ``"loop"``, a call of a compiled program for each batch, the only way
        where shapes differ or batches are streamed; ``"scan"``, one program over all
        batches, which are stacked (a copy of them in memory); ``"auto"``, a scan
        where it can be, except for convolutions on CPU, which are 20 to 40 times
        slower in one.

    Returns:
      An ``Operator``; a product costs about two gradients of the data set.

    Raises:
      InputError: the mask or the batches do not fit, the loss is no scalar, or an
        option is unknown.

    Memory: a product holds the activations of one batch twice, and three vectors.
    On TPUs, and GPUs with TF32, products inside the loss are rounded to 8 to 11 bits
    unless ``jax.default_matmul_precision("highest")`` is set around it, which shows
    as an error of that size in small eigenvalues.

    >>> import jax.numpy as jnp
    >>> loss = lambda w, x: jnp.mean((x @ w) ** 2) / 2
    >>> batches = [jnp.array([[2.0, 0.0]]), jnp.array([[0.0, 1.0], [0.0, 1.0]])]
    >>> h = hessian(loss, jnp.zeros(2), batches)
    >>> h.matvec(jnp.array([3.0, 3.0])).tolist()  # 3 examples: 4/3 and 2/3
    [4.0, 2.0]

    Reference: Pearlmutter, "Fast exact multiplication by the Hessian", Neural
    Computation 6 (1994).
    """
    product = HessianProduct(example_weights=example_weights, loss_fn=loss_fn)
    point = split(params, mask)
    return over_batches(product, point, batches, reduce=reduce, linearize=linearize)
