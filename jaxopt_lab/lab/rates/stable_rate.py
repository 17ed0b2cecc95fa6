"""The stable rate from curvature, of the whole loss and of single batches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxopt_lab import curvature
from jaxopt_lab.core.typing import Batch, LossFn, MaskOrFn, Params
from jaxopt_lab.lab.rates.update_rule import UpdateRule


class StableRate(NamedTuple):
    """A learning rate at the edge of stability.

    Attributes:
      name: of the curvature.
      curvature: loss over parameters squared.
      error: of the curvature: a residual, or a standard error.
      rate: the largest stable one; infinite where the curvature is not positive.
    """

    name: str
    curvature: float
    error: float
    rate: float


def stable_rates(
    loss_fn: LossFn,
    params: Params,
    batches: Sequence[Batch],
    rule: UpdateRule,
    key: jax.Array,
    *,
    num_steps: int = 40,
    opt_state: Any = None,
    mask: MaskOrFn | None = None,
) -> list[StableRate]:
    r"""The rates at which an optimizer leaves the loss around a point.

    Args:
      loss_fn: ``loss_fn(params, batch) -> scalar``, the mean that training minimizes.
      params: the point.
      batches: of the size that is trained with, all of one shape.
      rule: of the optimizer: the rate is ``rule.factor`` over the curvature, for
        gradient descent :math:`2 / \lambda`.
      key: typed key.
      num_steps: at most as many Hessian-vector products.
      opt_state: state at the point, whose second moments precondition the Hessian
        where the rule is that of Adam.
      mask: the parameters that are trained. Default: all.

    Returns:
      The rate of the largest eigenvalue over all examples; and, of a sum of past
      gradients, that of the batch sharpness.

    Cost: two gradients of all examples for each product, three gradients of each
    batch for the batch sharpness.

    >>> loss = lambda w, x: jnp.mean(x) * w**2
    >>> found = stable_rates(loss, jnp.array(1.0), [jnp.ones(2)] * 2,
    ...                      UpdateRule(2.0, None), jax.random.key(0))
    >>> [float(round(one.rate, 4)) for one in found]
    [1.0, 1.0]
    """
    # One batch, since batch statistics couple its examples.
    whole = jax.tree.map(lambda *parts: jnp.concatenate(parts), *batches)
    operator = curvature.hessian(loss_fn, params, [whole], mask=mask)
    name = "largest eigenvalue"
    if rule.adam is not None:
        diagonal = curvature.adam_diagonal(opt_state, **rule.adam)
        operator = curvature.preconditioned(operator, diagonal)
        name = "preconditioned eigenvalue"
    top = curvature.top_eigenvalues(operator, key, num_steps=num_steps)
    found = [_stable(name, top.value, top.error, rule)]
    if rule.adam is None:
        sharp = curvature.batch_sharpness(loss_fn, params, batches, mask=mask)
        error = sharp.standard_error
        found.append(_stable("batch sharpness", sharp.value, error, rule))
    return found


def _stable(name: str, value: Any, error: Any, rule: UpdateRule) -> StableRate:
    number = float(value)
    rate = rule.factor / number if number > 0 else float("inf")
    return StableRate(name, number, float(error), rate)


def mean_loss(
    train_loss: Callable[..., Any], model_state: Any, key: jax.Array
) -> LossFn:
    """The loss of a training step as a function of the parameters alone.

    Args:
      train_loss: ``train_loss(params, model_state, batch, key)``, as the step takes it.
      model_state: its state, which stays as it is.
      key: of its dropout, always the same.

    Returns:
      ``loss_fn(params, batch)``, with the batch's own statistics where the model
      normalizes by them.
    """

    def loss_fn(params: Params, batch: Batch) -> jax.Array:
        return train_loss(params, model_state, batch, key)[0]

    return loss_fn
