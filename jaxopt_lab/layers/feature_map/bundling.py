"""Bundling of layers on random features, and its closed form."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated

import jax
import jax.numpy as jnp

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.numbers import known_number
from jaxopt_lab.core.options import NON_NEGATIVE, check_arguments

FeatureMap = Callable[[jax.Array], jax.Array]


def bundle(feature_maps: Sequence[FeatureMap]) -> FeatureMap:
    r"""The feature map of a whole net, :math:`\Phi_L \circ \dots \circ \Phi_1`.

    A net of layers :math:`f_l(W_l x) \approx \Psi_l \Phi_l(x)` becomes
    :math:`\Psi^* \Phi(x)`, with one trained matrix.

    Args:
      feature_maps: the first layer's first.

    Returns:
      Their composition.

    Raises:
      InputError: there is none.

    >>> bundle([jnp.sin, jnp.cos])(jnp.zeros(1)).tolist()
    [1.0]
    """
    maps = tuple(feature_maps)
    if not maps:
        raise InputError("feature_maps must hold at least one map; got none")

    def composed(x: jax.Array) -> jax.Array:
        for each in maps:
            x = each(x)
        return x

    return composed


def bundle_weights(following: jax.Array, weights: jax.Array) -> jax.Array:
    r"""The matrix :math:`W_2 \Psi_1` behind the features of the layer before.

    Args:
      following: :math:`W_2` of the next dense layer, ``(out2, out)``.
      weights: :math:`\Psi_1`, ``(out, m)``.

    Returns:
      ``(out2, m)``: the next layer acts on the features of this one.

    Raises:
      InputError: the shapes do not fit.

    >>> bundle_weights(jnp.ones((3, 2)), jnp.ones((2, 4))).shape
    (3, 4)
    """
    if following.ndim != 2 or weights.ndim != 2:
        raise InputError(
            f"following and weights must be matrices; got {following.shape} and "
            f"{weights.shape}"
        )
    if following.shape[1] != weights.shape[0]:
        raise InputError(
            f"following must be (out2, {weights.shape[0]}) for weights "
            f"{weights.shape}; got {following.shape}"
        )
    return following @ weights


def solve_bundled(
    features: jax.Array,
    targets: jax.Array,
    *,
    ridge: Annotated[float, NON_NEGATIVE] = 1e-3,
) -> jax.Array:
    r"""The best last matrix of a bundled net for squared errors, in closed form.

    .. math:: \Psi^* = \arg\min_\Psi \frac1n \sum_i |\Psi \phi_i - y_i|^2
        + \lambda |\Psi|^2 = Y^T F (F^T F + \lambda n I)^{-1}

    Args:
      features: F, ``(n, m)``.
      targets: Y, ``(n, out)``.
      ridge: lambda; at 0 the matrix of least norm among the best, which interpolates
        where the rows of F are independent.

    Returns:
      ``(out, m)``. The smaller of the two Gram matrices is factorized, at a cost of
      O(n m min(n, m)); 0 costs a singular value decomposition. Differentiable for a
      positive ridge.

    Raises:
      InputError: ``ridge`` is below 0, or the arrays do not fit.

    On a CPU, several such solves that do not depend on each other, each batched by
    ``vmap``, need not end in one program: jaxlib 0.10 divides a batch of factorizations
    among the threads of XLA's pool from one of these threads, which waits for the
    others; where as many of them run at once as there are threads, all wait. On two
    cores this happens with two ridges::

      solve = lambda ridge: lambda f, y: solve_bundled(f, y, ridge=ridge)
      both = lambda f, y: [solve(ridge)(f, y) for ridge in (0.1, 0.2)]
      jax.jit(jax.vmap(both))(jnp.ones((12, 700, 512)), jnp.ones((12, 700, 10)))

    ``jax.lax.map`` in place of ``vmap``, or programs of their own, end.

    Source: Sehanobish et al., "Scalable Neural Network Kernels", 2023
    (https://arxiv.org/abs/2310.13225).

    >>> solve_bundled(jnp.eye(2), jnp.ones((2, 1)), ridge=0.5).round(3).tolist()
    [[0.5, 0.5]]
    """
    check_arguments(solve_bundled, {"ridge": ridge})
    shapes = features.shape, targets.shape
    if features.ndim != 2 or targets.ndim != 2 or shapes[0][0] != shapes[1][0]:
        raise InputError(
            f"features and targets must be (n, m) and (n, out); got {shapes[0]} and "
            f"{shapes[1]}"
        )
    count, size = features.shape
    if not count:
        raise InputError("features must hold at least one example; got none")
    if known_number(ridge) == 0:
        return jnp.linalg.lstsq(features, targets)[0].T
    smaller = min(count, size)
    added = jnp.asarray(ridge, features.dtype) * jnp.eye(smaller, dtype=features.dtype)
    added = added * jnp.asarray(count, features.dtype)
    solve = lambda gram, right: jax.scipy.linalg.solve(
        gram + added, right, assume_a="pos"
    )
    if size <= count:
        return solve(features.T @ features, features.T @ targets).T
    return (features.T @ solve(features @ features.T, targets)).T
