"""The Gibbs sampler of gamma process dynamic Poisson factor analysis."""
# Its examples wait for pytest --full.

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from jaxopt_lab.core.argument_checks import check_key
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.known_values import known_values
from jaxopt_lab.core.options import check_arguments
from jaxopt_lab.inference.allocated_counts import allocate_counts
from jaxopt_lab.inference.counts import crt, positive_poisson
from jaxopt_lab.inference.poisson_factors import (
    PRIOR,
    FactorPrior,
    PoissonFactors,
    draw_given_scores,
    gamma_draw,
    poisson_factor_rates,
)


def sweep_poisson_factors(
    key: jax.Array,
    factors: PoissonFactors,
    counts: jax.Array,
    *,
    where: jax.Array | None = None,
    binary: bool = False,
    dynamic: bool = True,
    prior: FactorPrior = PRIOR,
) -> PoissonFactors:
    r"""One sweep of the Gibbs sampler.

    Each count is spread over the factors; backwards in time, CRT draws turn the scores
    of a step into counts for the step before; forwards, scores are drawn from gamma
    distributions; then weights, loadings and rates.

    Args:
      key: typed random key of the default generator.
      factors: the variables, such as ``start_poisson_factors`` gives.
      counts: integers of at least 0, ``(T, V)``; all together below 2**31.
      where: booleans ``(T, V)``, false where a count is missing: it is drawn in each
        sweep (exact data augmentation), so a step of which all is missing may grow
        without bound under a prior of small ``shape``.
      binary: ``counts`` says only whether a count is at least 1 (0 or not): the count
        itself is drawn, from the Poisson distribution above 0.
      dynamic: whether the shape of a score is the score of the step before. Otherwise
        it is 1: steps are independent given their factors. At T = 1 that is the same.
      prior: its constants.

    Returns:
      The variables after the sweep, of the same shapes and dtype; their stationary
      distribution is the posterior. Gamma numbers are at least 1e-30.

    Raises:
      InputError: shapes or types do not fit, or a known count is negative.

    Cost: a uniform number and K exponentials for each counted event, memory of 1,024 K;
    T steps in sequence, twice. Nothing is differentiable.

    >>> from jaxopt_lab.inference import start_poisson_factors
    >>> counts = jnp.array([[3, 0], [5, 1], [0, 7]])
    >>> state = start_poisson_factors(jax.random.key(0), counts, factors=2)
    >>> sweep = jax.jit(sweep_poisson_factors)
    >>> for key in jax.random.split(jax.random.key(1), 20):
    ...     state = sweep(key, state, counts)
    >>> poisson_factor_rates(state).shape
    (3, 2)
    """
    check_arguments(sweep_poisson_factors, locals())
    _check(key, factors, counts, where)
    keys = jax.random.split(key, 6)
    dtype = factors.scores.dtype
    counts = counts.astype(jnp.int32)
    means = poisson_factor_rates(factors)
    if binary:
        counts = jnp.where(counts > 0, positive_poisson(keys[0], means), 0)
    if where is not None:
        missing = jax.random.poisson(keys[1], means, dtype=jnp.int32)
        counts = jnp.where(where, counts, missing)
    by_step, by_feature = allocate_counts(
        keys[2], counts, factors.scores * factors.weights[None], factors.loadings
    )
    weights, rates = factors.weights, factors.rates
    ones = jnp.ones_like(weights)
    before = jnp.concatenate([ones[None], factors.scores[:-1]])
    tables, strengths = jnp.zeros_like(by_step), jnp.zeros_like(factors.scores)
    if dynamic:
        tables, strengths = _backwards(keys[3], by_step, before, weights, rates)

    def forwards(last: jax.Array, step):
        own_key, found, tables, strength, rate = step
        shape = last + (found + tables).astype(dtype)
        scores = gamma_draw(own_key, shape, rate + weights + strength)
        return (scores if dynamic else last), scores

    own_keys = jax.random.split(keys[4], len(rates))
    moves = own_keys, by_step, tables, strengths, rates
    _, scores = jax.lax.scan(forwards, ones, moves)
    shapes = jnp.ones_like(scores)
    if dynamic:
        shapes = shapes.at[1:].set(scores[:-1])
    loadings, weights, rates = draw_given_scores(
        keys[5],
        prior,
        by_factor=jnp.sum(by_step, axis=0, dtype=jnp.int32),
        by_feature=by_feature,
        score_sums=(jnp.sum(scores, axis=0), jnp.sum(scores, axis=1)),
        shape_sums=jnp.sum(shapes, axis=1),
    )
    return PoissonFactors(loadings, weights, scores, rates)


def _backwards(key, by_step, before, weights, rates):
    """Counts and rates that each step gets from the next, from the last to the first.

    With a rate q of the next step, a score is Ga(shape, c + weight + q) and gives
    log(1 + (weight + q) / c) to the step before.
    """

    def retreat(carry, step):
        later, strength = carry
        own_key, found, shape, rate = step
        tables = crt(own_key, found + later, shape)
        return (tables, jnp.log1p((weights + strength) / rate)), (later, strength)

    keys = jax.random.split(key, len(rates))
    nothing = jnp.zeros_like(by_step[0]), jnp.zeros_like(weights)
    moves = keys, by_step, before, rates
    return jax.lax.scan(retreat, nothing, moves, reverse=True)[1]


def _check(key, factors: PoissonFactors, counts: jax.Array, where) -> None:
    check_key("key", key)
    sizes = factors.scores.shape[0], factors.loadings.shape[0]
    if counts.shape != sizes or not jnp.issubdtype(counts.dtype, jnp.integer):
        raise InputError(
            f"counts must be integers of shape {sizes}, steps by features of the "
            f"factors; got {counts.dtype} of shape {counts.shape}"
        )
    if where is not None and (where.shape != sizes or where.dtype != bool):
        raise InputError(
            f"where must be booleans of shape {sizes}; got {where.dtype} of shape "
            f"{where.shape}"
        )
    known, kept = known_values(counts), True if where is None else known_values(where)
    if known is not None and kept is not None and np.any((known < 0) & kept):
        raise InputError(f"counts must be at least 0; got {known.min()}")
