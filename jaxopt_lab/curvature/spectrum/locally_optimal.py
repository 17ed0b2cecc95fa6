"""Locally optimal CG: largest eigenvalue of a self-adjoint map, in one program."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxopt_lab.core.checks import check_non_negative, check_positive_count
from jaxopt_lab.core.trees import global_norm, safe_divide


class Eigenvalue(NamedTuple):
    """An eigenvalue found by iteration.

    Attributes:
      value: the Rayleigh quotient.
      residual: norm of ``A x - value x`` for the unit vector x: an eigenvalue is
        within this distance.
      steps: applications of A beyond the first.
    """

    value: jax.Array
    residual: jax.Array
    steps: jax.Array


class _Pair(NamedTuple):
    """A unit vector and its image; or a zero vector, where there is none."""

    x: jax.Array
    ax: jax.Array


class _Carry(NamedTuple):
    current: _Pair
    last: _Pair
    value: jax.Array
    residual: jax.Array
    steps: jax.Array


def largest_eigenvalue(
    apply: Callable[[jax.Array], jax.Array],
    start: jax.Array,
    *,
    tol: float | None = None,
    max_steps: int = 500,
) -> Eigenvalue:
    r"""Largest eigenvalue by the locally optimal conjugate gradient iteration.

    Each step takes the best vector in the span of the iterate, its residual and the
    last step: power iteration's memory and one product a step, but Lanczos's rate
    of convergence, which goes with the square root of the gap.

    Args:
      apply: a self-adjoint linear map of arrays of the shape of ``start``.
      start: starting point; it must not be orthogonal to the eigenvector, and must
        lie in the subspace of interest.
      tol: relative residual at which to stop; default ``eps ** 0.6``.
      max_steps: most steps.

    Returns:
      The eigenvalue with its residual. A zero ``start`` gives zeros.

    Raises:
      InputError: ``tol`` is negative, or ``max_steps`` no whole number of at least 1.

    Memory: 6 arrays of the size of ``start``.

    >>> found = largest_eigenvalue(lambda x: jnp.array([3.0, 1.0]) * x, jnp.ones(2))
    >>> round(float(found.value), 5)
    3.0

    Reference: Knyazev, "Toward the Optimal Preconditioned Eigensolver: Locally
    Optimal Block Preconditioned Conjugate Gradient Method", 2001; block of one, no
    preconditioner.
    """
    check_positive_count("max_steps", max_steps)
    check_non_negative("tol", tol)
    dtype = start.dtype
    eps = float(jnp.finfo(dtype).eps)
    limit = eps**0.6 if tol is None else tol

    def rated(pair: _Pair) -> tuple[jax.Array, jax.Array]:
        value = jnp.vdot(pair.x, pair.ax)
        return value, global_norm(pair.ax - value * pair.x)

    def unfinished(carry: _Carry) -> jax.Array:
        wrong = carry.residual > limit * jnp.abs(carry.value)
        return wrong & (carry.steps < max_steps)

    def step(carry: _Carry) -> _Carry:
        current = carry.current
        residual = current.ax - carry.value * current.x
        direction = _away(residual, current.x)
        fresh = _Pair(direction, apply(direction))
        # Normalizing amplifies the rounding errors of the last step and its image when
        # it is almost in the span of the other two.
        last = _orthogonal(carry.last, (current, fresh), eps**0.25)
        pairs = (current, fresh, last)
        small = jnp.stack(
            [jnp.stack([jnp.vdot(p.x, q.ax) for q in pairs]) for p in pairs]
        )
        small = (small + small.T) / 2
        # A missing (zero) vector must not be chosen, even where all values are
        # negative.
        low = -2 * jnp.max(jnp.sum(jnp.abs(small), axis=1)) - 1
        missing = jnp.stack([jnp.sum(p.x * p.x) < 0.5 for p in pairs])
        small = small + jnp.diag(jnp.where(missing, low, 0))
        weights = jnp.linalg.eigh(small)[1][:, -1]
        moved = _combined(weights[1:], (fresh, last))
        new = _combined(jnp.stack([weights[0], jnp.ones((), dtype)]), (current, moved))
        new = _normalised(new)
        value, distance = rated(new)
        return _Carry(new, _normalised(moved), value, distance, carry.steps + 1)

    first = _normalised(_Pair(start, apply(start)))
    nothing = _Pair(jnp.zeros_like(start), jnp.zeros_like(start))
    carry = _Carry(first, nothing, *rated(first), jnp.zeros((), jnp.int32))
    done = jax.lax.while_loop(unfinished, step, carry)
    return Eigenvalue(done.value, done.residual, done.steps)


def _normalised(pair: _Pair) -> _Pair:
    norm = global_norm(pair.x)
    return _Pair(safe_divide(pair.x, norm), safe_divide(pair.ax, norm))


def _combined(weights: jax.Array, pairs: tuple[_Pair, _Pair]) -> _Pair:
    one, two = pairs
    return _Pair(
        weights[0] * one.x + weights[1] * two.x,
        weights[0] * one.ax + weights[1] * two.ax,
    )


def _away(vector: jax.Array, unit: jax.Array) -> jax.Array:
    """``vector`` made orthogonal to ``unit`` twice, of norm 1."""
    for _ in range(2):
        vector = safe_divide(vector, global_norm(vector))
        vector = vector - jnp.vdot(unit, vector) * unit
    return safe_divide(vector, global_norm(vector))


def _orthogonal(pair: _Pair, others: tuple[_Pair, _Pair], least: float) -> _Pair:
    """``pair`` made orthogonal to the others; zeros if the remainder is negligible."""
    for other in others:
        part = jnp.vdot(other.x, pair.x)
        pair = _Pair(pair.x - part * other.x, pair.ax - part * other.ax)
    left = (global_norm(pair.x) > least).astype(pair.x.dtype)
    scaled = _normalised(pair)
    return _Pair(left * scaled.x, left * scaled.ax)
