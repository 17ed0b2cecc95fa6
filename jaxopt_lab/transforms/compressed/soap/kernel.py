"""The eigenbases of SOAP, and one step on one matrix."""
# Its examples wait for pytest --full.

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxopt_lab.core import moments, trees
from jaxopt_lab.core.typing import Scalar


class LeafState(NamedTuple):
    """State of a matrix (p, q); ``None`` for a side without a basis.

    Attributes:
      mu: ``(p, q)``, first moment.
      nu: ``(p, q)``, second moment in the bases.
      left: ``(p, p)``, average of G G^T.
      right: ``(q, q)``, average of G^T G.
      left_basis: ``(p, p)``, orthonormal columns.
      right_basis: ``(q, q)``.
    """

    mu: Any
    nu: Any
    left: Any
    right: Any
    left_basis: Any
    right_basis: Any


class StepScalars(NamedTuple):
    """The hyper-parameters at one step.

    Attributes:
      count: int32, steps done before, the first included.
      adam: those of the moments of leaves without a basis.
      matrix: those of the moments of matrices, whose first step is not one of Adam's.
      factor_decay: decay of ``left`` and ``right``.
      bases: int32, what becomes of the bases: 0, they stay; 1, they are made; 2, they
        are refreshed.
    """

    count: jax.Array
    adam: moments.AdamScalars
    matrix: moments.AdamScalars
    factor_decay: jax.Array
    bases: jax.Array

    @classmethod
    def of(
        cls,
        count: jax.Array,
        b1: Scalar,
        b2: Scalar,
        eps: Scalar,
        factor_decay: Scalar,
        frequency: Scalar,
    ) -> StepScalars:
        """Those of a step.

        Args:
          count: int32, steps done before, the first included.
          b1: decay of the first moment.
          b2: decay of the second.
          eps: added to the root.
          factor_decay: decay of ``left`` and ``right``.
          frequency: steps between two refreshes of the bases.

        Returns:
          Scalars, those of floating type in the widest there is.
        """
        now = moments.AdamScalars.of(count + 1, b1, b2, eps)
        before = moments.AdamScalars.of(jnp.maximum(count, 1), b1, b2, eps)
        third = jnp.asarray(factor_decay, jnp.result_type(float))
        due = jnp.where(count % frequency == 0, 2, 0)
        return cls(count, now, before, third, jnp.where(count == 0, 1, due))

    def astype(self, dtype: Any) -> StepScalars:
        """The floating ones in another type.

        Args:
          dtype: floating type.

        Returns:
          The scalars.
        """
        cast = lambda x: x.astype(dtype) if trees.is_floating(x) else x
        return jax.tree.map(cast, self)


def eigenbasis(factor: jax.Array) -> jax.Array:
    """The eigenvectors of a factor, those of the largest eigenvalues first.

    Where the factor is of low rank the vectors of the eigenvalue 0 are anything that
    completes the basis, and rounding decides. They are pinned to the eigenvectors of a
    fixed diagonal inside that space, so that the steps do not depend on the compiler
    or on the mesh. Taken for constant: where two eigenvalues meet the derivative is
    infinite.

    Args:
      factor: ``(n, n)``, symmetric and not negative.

    Returns:
      ``(n, n)``, orthonormal columns.

    >>> eigenbasis(jnp.diag(jnp.array([1.0, 0.0, 2.0]))).shape
    (3, 3)
    """
    factor = jax.lax.stop_gradient(factor)
    size, dtype = len(factor), factor.dtype
    # Those of the negative come in the order that is wanted.
    values, vectors = jnp.linalg.eigh(-factor)
    least = values[0] * (8 * size * float(jnp.finfo(dtype).eps))
    inside = values < least
    seen = jnp.where(inside[None, :], vectors, jnp.zeros_like(vectors))
    rest = jnp.eye(size, dtype=dtype) - seen @ seen.T
    weights = -1 - jnp.arange(size, 0, -1, dtype=dtype) / size
    # Its first vectors are those of the space that is left.
    _, completion = jnp.linalg.eigh((rest * weights[None, :]) @ rest)
    place = jnp.maximum(jnp.arange(size) - jnp.sum(inside), 0)
    return jnp.where(inside[None, :], vectors, _ordered(completion, place))


def _ordered(x: jax.Array, order: jax.Array, axis: int = 1) -> jax.Array:
    # Without the instructions for numbers that are negative or too large.
    at = (slice(None),) * axis + (order,)
    return x.at[at].get(mode="promise_in_bounds", wrap_negative_indices=False)


def refreshed(factor: jax.Array, basis: jax.Array) -> tuple[jax.Array, jax.Array]:
    """One power iteration and a QR factorisation.

    A vector that the factor sends to zero stays as it is.

    Args:
      factor: ``(n, n)``, symmetric and not negative.
      basis: ``(n, n)``, the basis so far.

    Returns:
      ``(basis, order)``: the new basis, sorted by the estimated eigenvalues, and which
      old vector each new one comes from. Taken for constant.
    """
    factor = jax.lax.stop_gradient(factor)
    turned = factor @ basis
    order = jnp.argsort(-jnp.sum(basis * turned, axis=0), stable=True)
    sizes = jnp.max(jnp.abs(turned), axis=0)
    least = jnp.max(sizes) * (8 * len(factor) * float(jnp.finfo(factor.dtype).eps))
    lost = sizes <= least
    # Of one size, so that what stays is not small beside what turns.
    turned = turned / jnp.where(lost, jnp.ones_like(sizes), sizes)[None, :]
    made = _ordered(jnp.where(lost[None, :], basis, turned), order)
    return jnp.linalg.qr(made)[0], order


def step(
    g: jax.Array, old: LeafState, scalars: StepScalars
) -> tuple[jax.Array, LeafState]:
    """One step.

    Args:
      g: gradient ``(p, q)``, float32 or better.
      old: what was kept.
      scalars: those of the step.

    Returns:
      ``(direction, what is kept now)``; a direction of zero in the first step.
    """
    scalars = scalars.astype(g.dtype)
    adam, factor_decay = scalars.matrix, scalars.factor_decay
    first = scalars.count == 0
    inside = _into(g, old)
    mu = moments.average(old.mu, g, adam.b1)
    nu = moments.average_of_squares(old.nu, inside, adam.b2)
    direction = _back(adam.direction(_into(mu, old), nu), old)
    mu, nu, direction = (
        jnp.where(first, jnp.zeros_like(new), new) for new in (mu, nu, direction)
    )
    left = right = None
    if old.left is not None:
        left = moments.average(old.left, g @ g.T, factor_decay)
    if old.right is not None:
        right = moments.average(old.right, g.T @ g, factor_decay)
    now = LeafState(mu, nu, left, right, old.left_basis, old.right_basis)
    bases = (now.nu, now.left_basis, now.right_basis)
    factors = jax.lax.stop_gradient((left, right))
    bases = jax.lax.switch(scalars.bases, (_keep, _start, _turn), bases, factors)
    nu, left_basis, right_basis = bases
    return direction, now._replace(
        nu=nu, left_basis=left_basis, right_basis=right_basis
    )


def _into(x: jax.Array, kept: LeafState) -> jax.Array:
    turned = x if kept.left_basis is None else kept.left_basis.T @ x
    if kept.right_basis is not None:
        turned = turned @ kept.right_basis
    # Adam would make a full step of what is zero but for rounding, as most of a
    # gradient is in bases made of the same gradient.
    least = 8 * float(jnp.finfo(x.dtype).eps) * trees.global_norm(x)
    return jnp.where(jnp.abs(turned) <= least, jnp.zeros_like(turned), turned)


def _back(x: jax.Array, kept: LeafState) -> jax.Array:
    if kept.left_basis is not None:
        x = kept.left_basis @ x
    return x if kept.right_basis is None else x @ kept.right_basis.T


def _keep(bases: Any, factors: Any) -> Any:
    del factors
    return bases


def _start(bases: Any, factors: Any) -> Any:
    made = (None if f is None else eigenbasis(f) for f in factors)
    return (bases[0], *made)


def _turn(bases: Any, factors: Any) -> Any:
    nu, *old = bases
    made = []
    for axis, (factor, basis) in enumerate(zip(factors, old, strict=True)):
        if factor is not None:
            basis, order = refreshed(factor, basis)
            nu = _ordered(nu, order, axis)
        made.append(basis)
    return (nu, *made)
