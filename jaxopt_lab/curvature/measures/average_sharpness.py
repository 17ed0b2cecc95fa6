"""Average sharpness: mean rise of the loss in random directions."""
# Its examples wait for pytest --full.

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

import jax
import jax.numpy as jnp
from jax import Array

from jaxopt_lab.core.checks import check_non_negative, check_positive_count
from jaxopt_lab.core.typing import Batch, MaskOrFn, Params, PyTree, Scalar
from jaxopt_lab.curvature.measures.batch_means import Estimate, data_loss, estimate
from jaxopt_lab.curvature.measures.sharpness import LossFn
from jaxopt_lab.curvature.operators import vector_trees
from jaxopt_lab.curvature.operators.blocks import split
from jaxopt_lab.curvature.operators.products import Weights


@jax.jit
def _moved(free: PyTree, key: Array, radius: Scalar) -> tuple[PyTree, PyTree]:
    """The two points at a distance along a random line."""
    direction, _ = vector_trees.unit(vector_trees.draw(key, free, "normal"))
    there = vector_trees.add_scaled(free, jnp.asarray(radius), direction)
    back = vector_trees.add_scaled(free, -jnp.asarray(radius), direction)
    return there, back


def average_direction_sharpness(
    loss_fn: LossFn,
    params: Params,
    batches: Iterable[Batch],
    key: Array,
    radius: Scalar = 0.05,
    *,
    num_directions: int = 16,
    antithetic: bool = True,
    mask: MaskOrFn | None = None,
    example_weights: Weights = None,
) -> Estimate:
    r"""Mean rise of the loss on a sphere around the parameters.

    .. math::
        E_u[L(w + r u)] - L(w), \quad u \text{ uniform on the unit sphere},

    which is :math:`r^2 \operatorname{tr} H / 2P` for small r: the flatness in most
    directions, which the largest eigenvalue does not measure.

    Args:
      loss_fn: see ``ascent_sharpness``.
      params: tree of parameters; those narrower than float32 are cast up.
      batches: see ``ascent_sharpness``; each direction passes over all of them.
      key: typed key of the directions. One key along a run: otherwise the curve is
        noise of the directions.
      radius: r, in units of the parameters' norm.
      num_directions: number of random directions.
      antithetic: use both signs of each. The contribution of the gradient cancels, so
        that the error is one of the curvature alone, at twice the cost.
      mask: leaves that move. Default: all.
      example_weights: weight of every example of a batch.

    Returns:
      The mean over the directions with its standard error.

    Raises:
      InputError: a number is refused, a mask or the batches do not fit, or the loss
        is no scalar.

    Cost: ``2 num_directions + 1`` losses of the data set, or ``num_directions + 1``.

    >>> loss = lambda w, x: jnp.mean(x) * jnp.sum(w**2) / 2
    >>> found = average_direction_sharpness(
    ...     loss, jnp.ones(4), [jnp.ones(2)], jax.random.key(0), radius=0.5
    ... )
    >>> round(float(found.value), 5), bool(found.standard_error < 1e-6)
    (0.125, True)
    """
    check_non_negative("radius", radius)
    check_positive_count("num_directions", num_directions)
    point = split(params, mask)
    loss_at = partial(
        data_loss, loss_fn, batches=batches, example_weights=example_weights
    )
    here, rises = loss_at(point), []
    for one in jax.random.split(key, num_directions):
        there, back = _moved(point.free, one, radius)
        rise = loss_at(point._replace(free=there)) - here
        if antithetic:
            rise = (rise + (loss_at(point._replace(free=back)) - here)) / 2
        rises.append(rise)
    return estimate(jnp.stack(rises))
