"""Maximum mean discrepancy of two sets of features."""

from __future__ import annotations

from typing import Annotated

import jax
import jax.numpy as jnp

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.neighbours import squared_distances
from jaxopt_lab.core.options import NON_NEGATIVE, POSITIVE, check_arguments
from jaxopt_lab.losses.targets import check_floats, valid

BANDWIDTHS = (2.0, 5.0, 10.0, 20.0, 40.0, 80.0)


def mmd(
    outputs: jax.Array,
    *,
    reference: jax.Array,
    weight: Annotated[float, NON_NEGATIVE] = 1.0,
    eps: Annotated[float, POSITIVE] = 1e-8,
    bandwidths: tuple[float, ...] = BANDWIDTHS,
    where: jax.Array | None = None,
    where_reference: jax.Array | None = None,
) -> jax.Array:
    r"""Root of the squared maximum mean discrepancy of two sets.

    With the kernel :math:`k(a, b) = \sum_\sigma e^{-\|a - b\|^2 / (2 \sigma)}`,

    .. math::
        w \sqrt{\epsilon + \operatorname{mean}_{ij} k(x_i, x_j)
            + \operatorname{mean}_{ij} k(y_i, y_j)
            - 2 \operatorname{mean}_{ij} k(x_i, y_j)}.

    Args:
      outputs: x, ``(n, D)``.
      reference: y, ``(m, D)``, taken as it is: stop its gradient where it is real data.
      weight: w; 0 is no penalty.
      eps: :math:`\epsilon`, for a finite derivative where the sets are equal.
      bandwidths: the :math:`\sigma`, squares of lengths, all above 0.
      where: ``(n,)``; 0 drops an example.
      where_reference: ``(m,)``, likewise.

    Returns:
      A number, float32 or float64; the root of eps where a set is empty. Examples are
      coupled; matrices of n x n, m x m and n x m are kept for the gradient.

    Raises:
      InputError: the shapes do not fit, or an option is out of range.

    Deviations: the code of the Ghost Model sums squares of products where it means
    squared norms, and has no minus sign between the sets; this is the discrepancy.

    Source: Gretton et al. 2012; the bandwidths are those of the Ghost Model (Douillard
    et al., "Insights from the Future for Continual Learning", 2020).

    >>> x = jnp.array([[0.0], [1.0]])
    >>> f"{mmd(x, reference=x[::-1]):.4f} {mmd(x, reference=x + 1):.2f}"
    '0.0001 0.81'
    """
    given = {"weight": weight, "eps": eps}
    check_arguments(mmd, given)
    if not bandwidths or min(bandwidths) <= 0:
        raise InputError(f"bandwidths must be numbers above 0; got {bandwidths}")
    check_floats("outputs", outputs, 2)
    check_floats("reference", reference, 2)
    own = valid(where, outputs.shape[0], outputs)
    other = valid(where_reference, reference.shape[0], outputs)
    dtype = own.dtype
    x = jnp.where(own[:, None] > 0, outputs, 0).astype(dtype)
    y = jnp.where(other[:, None] > 0, reference, 0).astype(dtype)
    shares = [w / jnp.maximum(jnp.sum(w), 1) for w in (own, other)]

    def mean(a: jax.Array, b: jax.Array, p: jax.Array, q: jax.Array) -> jax.Array:
        square = squared_distances(a, b)
        kernels = [jnp.exp(square / (-2 * sigma)) for sigma in bandwidths]
        return p @ sum(kernels[1:], kernels[0]) @ q

    first, second = shares
    both = mean(x, x, first, first) + mean(y, y, second, second)
    square = both - 2 * mean(x, y, first, second)
    there = (jnp.sum(own) > 0) & (jnp.sum(other) > 0)
    square = jnp.where(there, jnp.maximum(square, 0), 0)
    return jnp.asarray(weight, dtype) * jnp.sqrt(square + jnp.asarray(eps, dtype))
