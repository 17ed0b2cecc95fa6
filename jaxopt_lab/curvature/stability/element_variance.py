"""Variance of the elements of single examples' Hessians."""
# Its examples wait for pytest --full.

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxopt_lab.core import trees
from jaxopt_lab.core.checks import check_positive_count
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.trees import safe_sqrt
from jaxopt_lab.core.typing import PyTree
from jaxopt_lab.curvature.operators.operator import Operator, draw


class ElementVariance(NamedTuple):
    """Variance of the elements of a single example's Hessian, averaged over them.

    Attributes:
      value: s^2.
      standard_error: from the spread over the batches and over the probes.
    """

    value: jax.Array
    standard_error: jax.Array


@jax.jit
def _deviations(products: list[PyTree]) -> jax.Array:
    """Squared distances of vectors from their mean, without the bias of that mean."""
    count = len(products)
    mean = jax.tree.map(lambda *xs: sum(xs[1:], xs[0]) / count, *products)
    apart = [jax.tree.map(jnp.subtract, p, mean) for p in products]
    squares = jnp.stack([trees.global_norm(a) ** 2 for a in apart])
    return squares * (count / (count - 1))


def element_variance(
    operators: Sequence[Operator],
    key: jax.Array,
    *,
    batch_size: int,
    num_probes: int = 8,
) -> ElementVariance:
    r"""s^2 from products with the Hessians of several batches.

    For probes v with independent entries of variance 1,
    :math:`E \|(\hat H - H) v\|^2 = \|\hat H - H\|_F^2`, which is
    :math:`P^2 s^2 / B` in the mean over batches:

    .. math::
        s^2 = \frac{B}{P^2} \frac{1}{K-1} \sum_k \|(\hat H_k - \bar H) v\|^2.

    Args:
      operators: Hessians of K disjoint or independent random batches of one size,
        as ``[hessian(loss_fn, params, [batch]) for batch in batches]``.
      key: typed key of the probes.
      batch_size: B, examples in each batch.
      num_probes: number of Rademacher probes.

    Returns:
      The variance, and its standard error.

    Raises:
      InputError: fewer than two operators or probes, or they differ in size.

    Cost: K products for each probe. No P x P matrix; K vectors at once. Batches that
    partition the set need no correction for its finite size.

    >>> from jaxopt_lab.curvature import hessian
    >>> loss = lambda w, x: jnp.mean(x * w**2) / 2  # Hessian: mean x
    >>> hs = [hessian(loss, jnp.float32(1.0), [jnp.array([x])]) for x in (1.0, 3.0)]
    >>> float(element_variance(hs, jax.random.key(0), batch_size=1).value)
    2.0
    """
    check_positive_count("batch_size", batch_size)
    check_positive_count("num_probes", num_probes)
    if len(operators) < 2 or num_probes < 2:
        raise InputError(
            "element_variance needs at least 2 operators and 2 probes; got "
            f"{len(operators)} and {num_probes}"
        )
    sizes = {operator.size for operator in operators}
    if len(sizes) > 1:
        raise InputError(f"operators must be of one size; got {sorted(sizes)}")
    found = []
    for one in jax.random.split(key, num_probes):
        v = draw(operators[0], one, "rademacher")
        found.append(_deviations([operator.matvec(v) for operator in operators]))
    values = jnp.stack(found) * (batch_size / operators[0].size ** 2)
    by_batch, by_probe = jnp.mean(values, axis=0), jnp.mean(values, axis=1)
    spread = jnp.var(by_batch, ddof=1) / by_batch.size
    spread = spread + jnp.var(by_probe, ddof=1) / by_probe.size
    return ElementVariance(jnp.mean(values), safe_sqrt(spread))
