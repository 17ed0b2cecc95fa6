"""MLC: features on linear subspaces and their clusters, learned together."""
# Its examples wait for pytest --full.

from __future__ import annotations

from typing import Annotated

import jax
import jax.numpy as jnp

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.options import (
    COUNT,
    POSITIVE,
    POSITIVE_OR_INFINITE,
    check_arguments,
)
from jaxopt_lab.core.sinkhorn import sinkhorn
from jaxopt_lab.core.trees import accumulation_dtype
from jaxopt_lab.losses.coding_rate import mean_rate, rate, unit_features
from jaxopt_lab.losses.targets import check_shape


def mlc(
    features: jax.Array,
    *,
    clusters: jax.Array,
    eps: Annotated[float, POSITIVE] = 0.5,
    eta: Annotated[float, POSITIVE_OR_INFINITE] = 0.15,
    iterations: Annotated[int, COUNT] = 50,
    block: Annotated[int, COUNT] = 32,
    where: jax.Array | None = None,
) -> jax.Array:
    r"""Mean rate of soft clusters less the coding rate of all features.

    Two heads of a network give unit features Z and unit vectors C, whose cosines decide
    how much two examples share a cluster:

    .. math::
        R_c(Z, \Gamma) - R(Z), \qquad
        \Gamma = \mathrm{sinkhorn}_\eta(C C^\top), \qquad
        R_c = \frac1n \sum_j \log\det\left(I + \frac{d}{\epsilon^2}
        Z^\top \mathrm{Diag}(\Gamma_{\cdot j}) Z\right),

    with R that of ``coding_rate``. Of several views Z is the normalized mean, and the
    :math:`\Gamma` of the views are averaged. Both heads are trained by it; at the start
    the second is a copy of the first, after that one was trained to make R large.

    Args:
      features: Z, ``(n, d)`` or ``(n, views, d)``; their lengths do not matter.
      clusters: C, ``(n, e)`` or ``(n, views, e)``, likewise.
      eps: :math:`\epsilon`.
      eta: :math:`\eta`; for infinity all of :math:`\Gamma` is 1 / n and the loss 0.
      iterations: of Sinkhorn's scaling, in its symmetric form; each halves the error.
      block: examples whose matrices are in memory at once.
      where: ``(n,)``; 0 drops an example.

    Returns:
      A number, float32 or float64, at least :math:`-R`. Examples are coupled. Cost: n
      products and decompositions on the smaller side s = min(n, d), in memory ``block``
      matrices s x s and a few n x n. An example of zeros has no gradient.

    Raises:
      InputError: shapes that do not belong together, or an option out of range.

    Source: Ding et al., "Unsupervised Manifold Linearizing and Clustering", 2023
    (https://arxiv.org/abs/2301.01805); ``eps`` and ``eta`` are ours.

    >>> x = jnp.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
    >>> f"{mlc(x, clusters=x, eps=1.0, eta=0.01):.3f}"  # log 3 - 2 log 2
    '-0.288'
    """
    check_arguments(
        mlc,
        {"eps": eps, "eta": eta, "iterations": iterations, "block": block},
    )
    z, c = _views("features", features), _views("clusters", clusters)
    check_shape("clusters", c, (*z.shape[:2], c.shape[2]))
    wide = accumulation_dtype(features.dtype)
    count, views = z.shape[:2]
    here = jnp.ones((count,), bool) if where is None else where
    check_shape("where", here, (count,))
    mean = sum(unit_features(z[:, a], here)[0] for a in range(views))
    mean, counts = unit_features(jnp.asarray(mean) / views, here)

    def shares(c: jax.Array) -> jax.Array:
        c = unit_features(c, here)[0].astype(wide)
        cosines = jnp.matmul(c, c.T, precision=jax.lax.Precision.HIGHEST)
        return sinkhorn(
            cosines, eta=eta, iterations=iterations, symmetric=True, where=here
        )

    gamma = jnp.mean(jax.vmap(shares, in_axes=1)(c), axis=0)
    return mean_rate(mean, gamma, counts, eps, block) - rate(mean, counts, eps)


def _views(name: str, x: jax.Array) -> jax.Array:
    """The array with an axis of views."""
    if jnp.ndim(x) not in (2, 3) or not jnp.issubdtype(
        jnp.result_type(x), jnp.floating
    ):
        raise InputError(
            f"{name} must be real floating numbers of shape (n, d) or (n, views, d); "
            f"got {jnp.result_type(x)} of shape {jnp.shape(x)}"
        )
    return x[:, None] if jnp.ndim(x) == 2 else jnp.asarray(x)
