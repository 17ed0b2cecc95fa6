"""One step of LDAdam on one matrix."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp

from jaxopt_lab import moments, trees
from jaxopt_lab.compressed import low_rank
from jaxopt_lab.typing import Scalar

Projector = Literal["std", "svd"]
Start = Literal["power", "svd"]
Factorization = Literal["qr", "cholesky"]
# The first basis has no step before it to have come closer.
START_ITERATIONS = 4


class Numbers(NamedTuple):
    """The numbers of one step.

    Attributes:
      count: int32, steps done before.
      b1: decay of the first moment.
      b2: decay of the second.
      eps: added to the root.
      rho: weight of the past in the subspace.
    """

    count: jax.Array
    b1: Scalar
    b2: Scalar
    eps: Scalar
    rho: Scalar


class Subspace(NamedTuple):
    """What is kept of a matrix (p, q).

    Attributes:
      projector: ``(p, rank)``, orthonormal columns.
      mu: ``(rank, q)``, first moment in the subspace.
      nu: second moment there.
    """

    projector: jax.Array
    mu: jax.Array
    nu: jax.Array


class How(NamedTuple):
    """How the subspace is found.

    Attributes:
      projector: ``"std"``, one power iteration a step; ``"svd"``.
      start: ``"power"`` or ``"svd"``.
      factorization: ``"qr"`` or ``"cholesky"``.
    """

    projector: Projector
    start: Start
    factorization: Factorization


def step(
    x: jax.Array, old: Subspace, numbers: Numbers, how: How
) -> tuple[jax.Array, jax.Array, Subspace]:
    """One step.

    Args:
      x: gradient and error ``(p, q)``, p the side that is projected.
      old: what was kept.
      numbers: those of the step.
      how: how the subspace is found.

    Returns:
      ``(direction, error, what is kept now)``.
    """
    dtype, count = x.dtype, numbers.count
    b1, b2, rho = (jnp.asarray(b, dtype) for b in (numbers.b1, numbers.b2, numbers.rho))
    before = [moments.bias_correction(b, count, dtype) for b in (b1, b2)]
    # At the first step the corrections are 0, and so are the moments.
    mean, square = (
        trees.safe_divide(m, jnp.broadcast_to(c, m.shape))
        for m, c in zip(old[1:], before, strict=True)
    )
    projector = _new_projector(x, old.projector, mean, rho, count, how)
    inside = projector.T @ x
    rotation = projector.T @ old.projector
    mu = rotation @ old.mu
    ratio = b1 / (1 - b1)
    error = x - projector @ (inside + ratio * mu) + ratio * (old.projector @ old.mu)
    turned = rotation @ mean
    spread = (rotation * rotation) @ (square - mean * mean) + turned * turned
    nu = before[1] * jnp.abs(spread)
    mu = moments.average(mu, inside, b1)
    nu = moments.average_of_squares(nu, inside, b2)
    after = [moments.bias_correction(b, count + 1, dtype) for b in (b1, b2)]
    direction = moments.adam_direction(mu, nu, numbers.eps, *after)
    return projector @ direction, error, Subspace(projector, mu, nu)


def _new_projector(
    x: jax.Array,
    old: jax.Array,
    mean: jax.Array,
    rho: jax.Array,
    count: jax.Array,
    how: How,
) -> jax.Array:
    rank = old.shape[1]
    factorized = low_rank.orthonormal
    if how.factorization == "cholesky":
        factorized = low_rank.cholesky_orthonormal
    first = count == 0
    # What A = rho P mean + (1 - rho) X does to vectors; A itself is never formed. In
    # the first step A is X, also where rho is 1.
    past = jnp.where(first, jnp.zeros_like(rho), rho)

    def iterated(basis: jax.Array) -> jax.Array:
        seen = past * (mean.T @ (old.T @ basis)) + (1 - past) * (x.T @ basis)
        return past * (old @ (mean @ seen)) + (1 - past) * (x @ seen)

    def orthonormal(basis: jax.Array) -> jax.Array:
        seen = iterated(basis)
        # With no gradient so far there is nothing to turn to.
        nothing = jnp.all(seen == 0)
        safe = jnp.where(nothing, basis, seen)
        return jnp.where(nothing, basis, factorized(safe))

    def refined(basis: jax.Array) -> jax.Array:
        for _ in range(START_ITERATIONS - 1):
            basis = orthonormal(basis)
        return basis

    if how.projector == "svd":
        a = past * (old @ mean) + (1 - past) * x
        decomposed = low_rank.leading_left_vectors(a, rank)
        if how.start == "svd":
            return decomposed
        started = lambda: orthonormal(refined(old))
        return jax.lax.cond(first, started, lambda: decomposed)
    if how.start == "svd":
        return jax.lax.cond(
            first,
            lambda: low_rank.leading_left_vectors(x, rank),
            lambda: orthonormal(old),
        )
    return orthonormal(jax.lax.cond(first, refined, lambda p: p, old))


def dense_step(
    g: jax.Array, mu: jax.Array, nu: jax.Array, numbers: Numbers
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """One step of Adam, for what has no subspace.

    Args:
      g: gradient.
      mu: first moment.
      nu: second moment.
      numbers: those of the step.

    Returns:
      ``(direction, first moment, second moment)``.
    """
    mu = moments.average(mu, g, numbers.b1)
    nu = moments.average_of_squares(nu, g, numbers.b2)
    corrections: list[Any] = [
        moments.bias_correction(b, numbers.count + 1, mu.dtype)
        for b in (numbers.b1, numbers.b2)
    ]
    return moments.adam_direction(mu, nu, numbers.eps, *corrections), mu, nu
