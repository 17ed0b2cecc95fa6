"""Second moments of the examples' gradients: true and empirical Fisher information.

The empirical Fisher takes the labels of the data, the Fisher those that the model
itself would give. Only the second is curvature of the model; they agree where the
model has learned the distribution of the labels, and not before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, get_args

import jax
from jax import Array

from jaxopt_lab.core import checks as arguments
from jaxopt_lab.core import errors
from jaxopt_lab.core.typing import Batch, MaskOrFn, Params
from jaxopt_lab.curvature.operators.blocks import split
from jaxopt_lab.curvature.operators.dataset import Reduce, check_batches, over_batches
from jaxopt_lab.curvature.operators.operator import Operator
from jaxopt_lab.curvature.operators.products import (
    EmpiricalFisherProduct,
    FisherProduct,
    Likelihood,
    Weights,
)


def empirical_fisher(
    example_losses: Callable[[Any, Batch], Array],
    params: Params,
    batches: Iterable[Batch],
    *,
    mask: MaskOrFn | None = None,
    example_weights: Weights = None,
    reduce: Reduce = "auto",
) -> Operator:
    r"""Mean outer product of the examples' gradients, as an operator.

    .. math:: F v = \frac{1}{n} \sum_i g_i \langle g_i, v \rangle

    without ever forming a g_i: one forward and one reverse derivative of the vector
    of losses. Its trace is the mean of the squared norms of the g_i.

    Args:
      example_losses: ``example_losses(params, batch) -> (examples,)``, where no loss
        depends on another example (batch normalization frozen).
      params: tree of parameters, cast up to float32.
      batches: as in ``hessian``.
      mask: as in ``hessian``.
      example_weights: as in ``hessian``; also the weights of the mean within a batch.
      reduce: as in ``hessian``.

    Returns:
      An ``Operator``, positive semi-definite, of rank at most n.

    Raises:
      InputError: the mask or the batches do not fit, the losses are not one for each
        example, or an option is unknown.

    >>> import jax.numpy as jnp
    >>> losses = lambda w, x: (x * w) ** 2 / 2  # gradients 1 and 4
    >>> f = empirical_fisher(losses, jnp.array(1.0), [jnp.array([1.0, 2.0])])
    >>> float(f.matvec(jnp.array(1.0)))
    8.5

    Reference: Kunstner, Balles and Hennig, "Limitations of the empirical Fisher
    approximation for natural gradient descent", arXiv:1905.12558.
    """
    product = EmpiricalFisherProduct(
        example_weights=example_weights, example_losses=example_losses
    )
    return over_batches(product, split(params, mask), batches, reduce=reduce)


class _Keyed:
    """Batches with a key each, the same ones in every pass."""

    def __init__(self, batches: Iterable[Batch], key: Array):
        self._batches, self._key = batches, key

    def __iter__(self) -> Iterator[tuple[Batch, Array]]:
        for i, batch in enumerate(self._batches):
            yield batch, jax.random.fold_in(self._key, i)


def fisher(
    model_fn: Callable[[Any, Batch], Array],
    params: Params,
    batches: Iterable[Batch],
    key: Array,
    *,
    likelihood: Likelihood = "categorical",
    num_samples: int = 1,
    mask: MaskOrFn | None = None,
    example_weights: Weights = None,
    reduce: Reduce = "auto",
) -> Operator:
    r"""Fisher information with labels drawn from the model, as an operator.

    .. math::
        F v = \frac{1}{n S} \sum_{i, s} g_{is} \langle g_{is}, v \rangle, \quad
        g_{is} = \nabla_w \big(-\log p(y_{is} \mid f_w(x_i))\big), \quad
        y_{is} \sim p(\cdot \mid f_w(x_i)).

    Its expectation is exactly ``ggn`` of the negative log-likelihood: prefer that
    unless the matrix itself must be a sum over draws. All draws of an example share
    one pass through the model.

    Args:
      model_fn: ``model_fn(params, batch) -> (examples, outputs)``: logits, or means.
        More than one leading axis is allowed where ``example_weights`` has them too.
      params: tree of parameters, cast up to float32.
      batches: as in ``hessian``; the labels in them are not used.
      key: typed PRNG key. The draws are fixed by it: the operator is one matrix.
      likelihood: ``"categorical"``, outputs are logits; or ``"normal"`` with
        variance 1, outputs are means (loss: half the squared error, summed over the
        outputs).
      num_samples: S, draws for each example. The error falls as one over its root.
      mask: as in ``hessian``.
      example_weights: as in ``hessian``; also the weights of the mean within a batch.
      reduce: as in ``hessian``.

    Returns:
      An ``Operator``, positive semi-definite.

    Raises:
      InputError: the mask or the batches do not fit, the outputs do not have one row
        for each example, or an option is unknown.

    >>> import jax.numpy as jnp
    >>> model = lambda w, x: x[:, None] * w  # two logits, both 0: p = 1/2 each
    >>> f = fisher(model, jnp.zeros((1, 2)), [jnp.ones(3)], jax.random.key(0))
    >>> f.matvec(jnp.array([[1.0, 0.0]])).tolist()
    [[0.25, -0.25]]
    """
    if likelihood not in get_args(Likelihood):
        raise errors.unknown("likelihood", likelihood, get_args(Likelihood))
    arguments.check_positive_count("num_samples", num_samples)
    check_batches(batches)
    keyed: Iterable[Any] = _Keyed(batches, key)
    if isinstance(batches, list | tuple):
        keyed = list(keyed)
    product = FisherProduct(
        example_weights=example_weights,
        model_fn=model_fn,
        likelihood=likelihood,
        num_samples=num_samples,
    )
    return over_batches(product, split(params, mask), keyed, reduce=reduce)
