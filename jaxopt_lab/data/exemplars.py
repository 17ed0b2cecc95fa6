"""Exemplars: the few examples of a class whose mean is that of the class."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jaxopt_lab.core.checks import check_integer
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.trees import accumulation_dtype
from jaxopt_lab.core.unit import unit_rows


def herding(
    features: jax.Array, count: int, *, where: jax.Array | None = None
) -> jax.Array:
    r"""The examples whose mean feature stays nearest to that of all, in order.

    With features :math:`\phi_i` of length 1 and their mean :math:`\mu`,

    .. math::
        i_k = \arg\min_i \left\| \mu - \frac1k
            \Big(\phi_i + \sum_{j < k} \phi_{i_j}\Big) \right\|,

    over those not yet chosen: as lengths are 1, the largest product of :math:`\phi_i`
    with :math:`k \mu - \sum_{j<k} \phi_{i_j}`. The first m of a longer choice are the
    choice of m, so that a memory shrinks by cutting.

    Args:
      features: ``(n, D)``, of one class; their lengths do not matter.
      count: m, static, at least 1.
      where: ``(n,)``, examples that count; ``None``: all.

    Returns:
      int32 ``(count,)``, of equals the first; -1 once every example is chosen.

    Raises:
      InputError: the features are no matrix of real numbers, or ``count`` is below 1.

    Cost: ``count`` products of the features with a vector.

    >>> x = jnp.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    >>> herding(x, 4).tolist()
    [2, 0, 1, -1]

    Source: Welling 2009; Rebuffi et al., "iCaRL", arXiv:1611.07725.
    """
    if features.ndim != 2 or not jnp.issubdtype(features.dtype, jnp.floating):
        raise InputError(
            f"features must be real numbers (examples, D); got {features.dtype} of "
            f"shape {features.shape}"
        )
    check_integer("count", count, low=1)
    free = jnp.ones(len(features), bool) if where is None else where.astype(bool)
    h = jnp.where(free[:, None], features, 0)
    h = unit_rows(h.astype(accumulation_dtype(features.dtype)))
    total = jnp.maximum(jnp.sum(free), 1).astype(h.dtype)
    mean = jnp.sum(h, axis=0) / total

    def choose(carry: tuple[jax.Array, jax.Array], _: None) -> tuple:
        free, wanted = carry
        products = jnp.where(free, h @ wanted, -jnp.inf)
        best = jnp.argmax(products)
        left = free[best]
        after = jnp.where(left, wanted + mean - h[best], wanted)
        found = jnp.where(left, best, -1).astype(jnp.int32)
        return (free.at[best].set(False), after), found

    return jax.lax.scan(choose, (free, mean), None, length=count)[1]
