r"""Gamma process dynamic Poisson factor analysis: its variables and their prior.

Counts of V features in T steps are Poisson numbers around K factors, whose scores
follow a chain of gamma distributions:

.. math::
    n_{tv} \sim \operatorname{Pois}\Big(\sum_k \lambda_k \phi_{vk}\theta_{tk}\Big),
    \quad \theta_{tk} \sim \operatorname{Ga}(\theta_{t-1,k}, c_t), \quad
    \theta_{0k} = 1,

with :math:`\phi_k \sim \operatorname{Dir}(\eta)`,
:math:`\lambda_k \sim \operatorname{Ga}(\gamma_0/K, c)` and
:math:`c_t \sim \operatorname{Ga}(e_0, f_0)` (shape, rate): as K grows a gamma process,
of which few factors are active.

Reference: Acharya, Ghosh and Zhou, "Nonparametric Bayesian factor analysis for dynamic
count matrices", AISTATS 2015, arXiv:1512.08996. Its code treats :math:`\theta_0` in two
ways; it is fixed to 1 here.
"""
# Its examples wait for pytest --full.

from __future__ import annotations

from typing import Annotated, NamedTuple

import jax
import jax.numpy as jnp

from jaxopt_lab.core.options import COUNT, check_arguments
from jaxopt_lab.inference.gamma_numbers import log_gamma_numbers

_LEAST = 1e-30  # a gamma number of a small shape would be 0, and then stay there


class PoissonFactors(NamedTuple):
    """The variables of the sampler.

    Attributes:
      loadings: :math:`\\phi`, ``(V, K)``, columns of sum 1.
      weights: :math:`\\lambda`, ``(K,)``.
      scores: :math:`\\theta`, ``(T, K)``.
      rates: :math:`c_t`, ``(T,)``.
    """

    loadings: jax.Array
    weights: jax.Array
    scores: jax.Array
    rates: jax.Array


class FactorPrior(NamedTuple):
    r"""Constants of the prior, positive numbers or traced scalars.

    Attributes:
      loading: :math:`\eta`, of the Dirichlet distribution of the loadings.
      mass: :math:`\gamma_0`, the mean of the sum of all weights at ``weight_rate`` 1.
      weight_rate: c.
      shape: :math:`e_0`, of the rates :math:`c_t`.
      rate: :math:`f_0`.
    """

    loading: float | jax.Array = 0.01
    mass: float | jax.Array = 10.0
    weight_rate: float | jax.Array = 1.0
    shape: float | jax.Array = 1.0
    rate: float | jax.Array = 1.0


PRIOR = FactorPrior()


def draw_poisson_factors(
    key: jax.Array,
    *,
    steps: Annotated[int, COUNT],
    features: Annotated[int, COUNT],
    factors: Annotated[int, COUNT],
    dynamic: bool = True,
    prior: FactorPrior = PRIOR,
) -> PoissonFactors:
    """A draw from the prior.

    At the default prior the scores of more than some ten steps reach any size, because
    the mean of ``1 / c_t`` is infinite; ``start_poisson_factors`` begins a sampler.

    Args:
      key: typed random key.
      steps: T.
      features: V.
      factors: K.
      dynamic: see ``sweep_poisson_factors``.
      prior: its constants.

    Returns:
      The variables.

    >>> drawn = draw_poisson_factors(jax.random.key(0), steps=3, features=2, factors=4)
    >>> [x.shape for x in drawn]
    [(2, 4), (4,), (3, 4), (3,)]
    """
    check_arguments(draw_poisson_factors, locals())
    own, moved = jax.random.split(key)
    nothing = jnp.zeros((factors,))
    empty = jnp.zeros((steps,))
    loadings, weights, rates = draw_given_scores(
        own,
        prior,
        by_factor=nothing,
        by_feature=jnp.zeros((features, factors)),
        score_sums=(nothing, empty),
        shape_sums=empty,
    )

    def advance(before: jax.Array, step: tuple[jax.Array, jax.Array]):
        own_key, rate = step
        scores = gamma_draw(own_key, before, rate)
        return (scores if dynamic else before), scores

    moves = jax.random.split(moved, steps), rates
    _, scores = jax.lax.scan(advance, jnp.ones_like(weights), moves)
    return PoissonFactors(loadings, weights, scores, rates)


def start_poisson_factors(
    key: jax.Array, counts: jax.Array, *, factors: Annotated[int, COUNT]
) -> PoissonFactors:
    """Variables to begin a sampler with: equal scores, the mean count, any loadings.

    Args:
      key: typed random key.
      counts: ``(T, V)``.
      factors: K.

    Returns:
      The variables, float32 (float64 where that is enabled and ``counts`` is).
    """
    check_arguments(start_poisson_factors, locals())
    steps, features = counts.shape
    floating = jnp.issubdtype(counts.dtype, jnp.floating)
    dtype = counts.dtype if floating else jnp.float32
    ones = jnp.ones((features, factors), dtype)
    total = jnp.sum(counts.astype(dtype)) / (steps * factors)
    return PoissonFactors(
        jax.nn.softmax(log_gamma_numbers(key, ones), axis=0),
        jnp.full((factors,), total, dtype),
        jnp.ones((steps, factors), dtype),
        jnp.ones((steps,), dtype),
    )


def poisson_factor_rates(factors: PoissonFactors) -> jax.Array:
    """Rates of the counts.

    Args:
      factors: the variables.

    Returns:
      ``(T, V)``.
    """
    return (factors.scores * factors.weights[None]) @ factors.loadings.T


def gamma_draw(key: jax.Array, shape: jax.Array, rate: jax.Array) -> jax.Array:
    """Gamma numbers of a shape and a rate, at least 1e-30."""
    return jnp.maximum(jnp.exp(log_gamma_numbers(key, shape)) / rate, _LEAST)


def draw_given_scores(
    key: jax.Array,
    prior: FactorPrior,
    *,
    by_factor: jax.Array,
    by_feature: jax.Array,
    score_sums: tuple[jax.Array, jax.Array],
    shape_sums: jax.Array,
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Loadings, weights and rates, which are independent given scores and counts.

    Args:
      key: typed random key.
      prior: its constants.
      by_factor: events of each factor, ``(K,)``.
      by_feature: events of each feature and factor, ``(V, K)``.
      score_sums: sums of the scores over the steps, ``(K,)``, and over the factors,
        ``(T,)``.
      shape_sums: sums over the factors of the shapes of the scores, ``(T,)``.

    Returns:
      Loadings, weights and rates.
    """
    dtype = shape_sums.dtype
    loading, mass, weight_rate, shape, rate = (jnp.asarray(x, dtype) for x in prior)
    features, factors = by_feature.shape
    weight_shapes = mass / factors + by_factor.astype(dtype)
    loading_shapes = (loading + by_feature.astype(dtype)).reshape(-1)
    # One call, because each is a loop to compile.
    logs = log_gamma_numbers(
        key, jnp.concatenate([weight_shapes, loading_shapes, shape + shape_sums])
    )
    first, second = factors, factors + features * factors
    weights = jnp.exp(logs[:first]) / (weight_rate + score_sums[0])
    rates = jnp.exp(logs[second:]) / (rate + score_sums[1])
    loadings = jax.nn.softmax(logs[first:second].reshape(features, factors), axis=0)
    least = (jnp.maximum(x, _LEAST) for x in (loadings, weights, rates))
    loadings, weights, rates = least
    return loadings, weights, rates
