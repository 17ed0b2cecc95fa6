"""Epsilon-sharpness: largest rise of the loss in a small box."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from jaxopt_lab.core.checks import check_non_negative, check_positive_count
from jaxopt_lab.core.perturbation import magnitude
from jaxopt_lab.core.typing import Batch, MaskOrFn, Params, PyTree, Scalar
from jaxopt_lab.curvature.measures.batch_means import (
    batch_value_and_grad,
    mean_over_batches,
)
from jaxopt_lab.curvature.measures.sharpness import LossFn
from jaxopt_lab.curvature.operators.blocks import split
from jaxopt_lab.curvature.operators.products import Weights


class EpsilonSharpness(NamedTuple):
    """Result of ``epsilon_sharpness``; scalars.

    Attributes:
      value: the rise in percent of one plus the loss.
      loss: the loss at the point.
      largest_loss: the largest loss found in the box.
    """

    value: Array
    loss: Array
    largest_loss: Array


@jax.jit
def _in_box(
    start: PyTree, shift: PyTree, grads: PyTree, epsilon: Scalar, step: Scalar
) -> tuple[PyTree, PyTree]:
    """The next shift, and the point there."""

    def one(w: Array, d: Array, g: Array) -> Array:
        side = jnp.asarray(epsilon, w.dtype) * (magnitude(w) + 1)
        moved = d + jnp.asarray(step, w.dtype) * side * jnp.sign(g)
        return jnp.clip(moved, -side, side)

    shift = jax.tree.map(one, start, shift, grads)
    return shift, jax.tree.map(jnp.add, start, shift)


def epsilon_sharpness(
    loss_fn: LossFn,
    params: Params,
    batches: Iterable[Batch],
    epsilon: Scalar = 5e-4,
    *,
    steps: int = 10,
    mask: MaskOrFn | None = None,
    example_weights: Weights = None,
) -> EpsilonSharpness:
    r"""The largest rise of the loss in a small box, relative to the loss.

    .. math::
        100 \cdot \frac{\max_{|\delta_i| \le \epsilon (|w_i| + 1)} L(w + \delta) - L(w)}
                     {1 + L(w)}.

    Args:
      loss_fn: see ``ascent_sharpness``.
      params: tree of parameters; those narrower than float32 are cast up.
      batches: see ``ascent_sharpness``; every step passes over all of them.
      epsilon: half the side of the box, relative to ``|w_i| + 1``. Published: 1e-3
        and 5e-4.
      steps: ascent steps of ``2.5 / steps`` of the half side (at most all of it)
        along the signs of the gradient, clipped to the box.
      mask: leaves that move. Default: all.
      example_weights: weight of every example of a batch.

    Returns:
      The sharpness, never negative, and the two losses.

    Raises:
      InputError: a number is refused, a mask or the batches do not fit, or the loss
        is no scalar.

    Cost: ``steps + 1`` gradients of the data set. Three trees like the parameters.

    Decisions: the largest loss on the path counts, so that the value is a lower
    bound of the maximum. The paper maximises with ten iterations of L-BFGS-B, also a
    lower bound; the ascent along signs is exact in one step where the loss is linear
    in the box, and needs no line search.

    >>> loss = lambda w, x: jnp.mean(x) * w
    >>> found = epsilon_sharpness(loss, jnp.array(1.0), [jnp.ones(2)], 0.25)
    >>> float(found.largest_loss), float(found.value)  # 1 + 0.25 * (|1| + 1)
    (1.5, 25.0)

    Reference: Keskar, Mudigere, Nocedal, Smelyanskiy and Tang, "On Large-Batch
    Training for Deep Learning: Generalization Gap and Sharp Minima",
    arXiv:1609.04836, metric 2.1 with the full space.
    """
    check_non_negative("epsilon", epsilon)
    check_positive_count("steps", steps)
    point = split(params, mask)
    start, shift = point.free, jax.tree.map(jnp.zeros_like, point.free)
    losses = []
    for i in range(steps + 1):
        here = partial(batch_value_and_grad, loss_fn, example_weights, point)
        loss, grads = mean_over_batches(here, batches)
        losses.append(loss)
        if i < steps:
            step = min(1.0, 2.5 / steps)
            shift, free = _in_box(start, shift, grads, epsilon, step)
            point = point._replace(free=free)
    loss, largest = losses[0], jnp.max(jnp.stack(losses))
    return EpsilonSharpness(100 * (largest - loss) / (1 + loss), loss, largest)
