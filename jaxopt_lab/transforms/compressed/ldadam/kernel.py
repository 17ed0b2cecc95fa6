"""One step of LDAdam on one matrix, or on some of its columns."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp

from jaxopt_lab.core import loops, moments, trees
from jaxopt_lab.core.platforms import traced_for, traced_mesh
from jaxopt_lab.core.typing import Scalar
from jaxopt_lab.transforms.compressed import low_rank

Projector = Literal["std", "svd"]
Start = Literal["power", "svd"]
Factorization = Literal["qr", "cholesky"]
# The first basis has no step before it to have come closer.
START_ITERATIONS = 4


class MomentScalars(NamedTuple):
    """Scalars of the moments at one step, computed once for all leaves and columns.

    Attributes:
      adam: those of Adam's step.
      mean: the first moment before the step times it is without its bias; 0 at the
        first step, as the moment is.
      square: likewise of the second.
      total: one over ``square``; 0 at the first step.
      ratio: b1 / (1 - b1).
    """

    adam: moments.AdamScalars
    mean: jax.Array
    square: jax.Array
    total: jax.Array
    ratio: jax.Array

    @classmethod
    def of(cls, count: jax.Array, b1: Scalar, b2: Scalar, eps: Scalar) -> MomentScalars:
        """Those of a step.

        Args:
          count: int32, steps done before.
          b1: decay of the first moment.
          b2: decay of the second.
          eps: added to the root.

        Returns:
          Scalars of the widest floating type there is.
        """
        adam = moments.AdamScalars.of(count + 1, b1, b2, eps)
        first = moments.bias_correction(adam.b1, count, adam.b1.dtype)
        second = moments.bias_correction(adam.b2, count, adam.b2.dtype)
        inverses = [trees.safe_divide(jnp.ones_like(x), x) for x in (first, second)]
        return cls(adam, inverses[0], inverses[1], second, adam.b1 / (1 - adam.b1))

    def astype(self, dtype: Any) -> MomentScalars:
        """The same in another type.

        Args:
          dtype: floating type.

        Returns:
          Scalars of that type.
        """
        return jax.tree.map(lambda x: x.astype(dtype), self)


class StepScalars(NamedTuple):
    """The hyper-parameters at one step.

    Attributes:
      count: int32, steps done before.
      rho: weight of the past in the subspace.
      moments: those of the moments.
      rate: learning rate; ``None`` gives the bare direction.
      decay: weight decay, or ``None``.
    """

    count: jax.Array
    rho: Scalar
    moments: MomentScalars
    rate: Scalar | None = None
    decay: Scalar | None = None


class ProjectorOptions(NamedTuple):
    """Options of the search for the subspace.

    Attributes:
      projector: ``"std"``, one power iteration a step; ``"svd"``.
      start: ``"power"`` or ``"svd"``.
      factorization: ``"qr"`` or ``"cholesky"``.
    """

    projector: Projector
    start: Start
    factorization: Factorization


class MatmulLayout(NamedTuple):
    """Products with a matrix X (p, q) that is stored as it is or transposed.

    Each contracts the last axis of its left factor with the first of its right one,
    as stored. XLA:CPU has a fast kernel for that form only: any other is repacked
    element by element, which takes longer than the product.

    Attributes:
      left: whether it is stored as X; else as its transpose.
    """

    left: bool

    def towards(self, basis: jax.Array) -> jax.Array:
        """A basis (p, r) as ``onto`` takes it."""
        return transposed(basis) if self.left else basis

    def back(self, basis: jax.Array) -> jax.Array:
        """A basis (p, r) as ``spanned`` takes it."""
        return basis if self.left else transposed(basis)

    def onto(self, x: jax.Array, towards: jax.Array) -> jax.Array:
        """``basis' X``: (r, q)."""
        return towards @ x if self.left else transposed(x @ towards)

    def of(self, x: jax.Array, weights: jax.Array) -> jax.Array:
        """``X weights'`` of weights (r, q): (p, r), or transposed like X."""
        return x @ transposed(weights) if self.left else weights @ x

    def spanned(self, back: jax.Array, inside: jax.Array) -> jax.Array:
        """``basis inside`` of (p, r) and (r, q), as X is stored."""
        return back @ inside if self.left else transposed(inside) @ back


def transposed(x: jax.Array) -> jax.Array:
    """The transpose of a small matrix, as an array of its own.

    Args:
      x: the matrix.

    Returns:
      What the compiler makes no part of the products before and after it.
    """
    return jax.lax.optimization_barrier(jax.lax.optimization_barrier(x).T)


class BasisChange(NamedTuple):
    """The change from one basis to the next, all of it that a column needs.

    Attributes:
      towards: the basis P as ``MatmulLayout.onto`` takes it.
      back: P as ``MatmulLayout.spanned`` takes it.
      leaving: likewise what takes gradients and old moments to the error, of 2 rank
        columns.
      rotation: ``(rank, rank)``, the old basis in the new one.
    """

    towards: jax.Array
    back: jax.Array
    leaving: jax.Array
    rotation: jax.Array

    @classmethod
    def of(
        cls, projector: jax.Array, old: jax.Array, ratio: jax.Array, sided: MatmulLayout
    ) -> BasisChange:
        """From one basis to the next.

        Args:
          projector: the new one, ``(p, rank)``.
          old: that of the step before.
          ratio: b1 / (1 - b1).
          sided: how the matrix is stored.

        Returns:
          The turn.
        """
        leaving = jnp.concatenate([-projector, ratio * old], axis=1)
        return cls(
            sided.towards(projector),
            sided.back(projector),
            sided.back(leaving),
            projector.T @ old,
        )


def advance(
    x: jax.Array,
    mu: jax.Array,
    nu: jax.Array,
    turn: BasisChange,
    shared: MomentScalars,
    sided: MatmulLayout,
) -> tuple[jax.Array, jax.Array, jax.Array, jax.Array]:
    """The step once the subspace is known; each column by itself.

    Args:
      x: gradient and error, (p, q), stored as ``sided`` says.
      mu: ``(rank, q)``, first moment in the old subspace.
      nu: second moment there.
      turn: from the old subspace to the new one.
      shared: scalars of the step.
      sided: how ``x`` is stored.

    Returns:
      ``(direction, error, first moment, second moment)``.
    """
    mean, square = mu * shared.mean, nu * shared.square
    inside = sided.onto(x, turn.towards)
    moved = turn.rotation @ mu
    gone = jnp.concatenate([inside + shared.ratio * moved, mu])
    error = x + sided.spanned(turn.leaving, gone)
    turned = moved * shared.mean
    spread = (turn.rotation * turn.rotation) @ (square - mean * mean) + turned * turned
    direction, mu, nu = shared.adam.step(inside, moved, shared.total * jnp.abs(spread))
    return sided.spanned(turn.back, direction), error, mu, nu


class SubspaceIteration(NamedTuple):
    """The iteration that finds the basis of a step.

    Attributes:
      old: ``(p, rank)``, the basis of the step before.
      products: of a basis B and a weight r of the past,
        ``r P' m (m' P'' B r + X' B (1 - r)), X (the same)`` without the outer factors:
        ``(S, Y)`` with S = m W, Y = X W and W that bracket; m without its bias.
      whole: for a weight of the past, A itself, for a decomposition.
    """

    old: jax.Array
    products: Callable[[jax.Array, jax.Array], tuple[jax.Array, jax.Array]]
    whole: Callable[[jax.Array], jax.Array]

    def basis(self, scalars: StepScalars, options: ProjectorOptions) -> jax.Array:
        """The new basis.

        Args:
          scalars: those of the step.
          options: of the search.

        Returns:
          ``(p, rank)``, orthonormal columns.
        """
        old, rank = self.old, self.old.shape[1]
        factorized = low_rank.orthonormal
        if options.factorization == "cholesky":
            factorized = low_rank.cholesky_orthonormal
        first = scalars.count == 0
        # In the first step A is X, also where rho is 1.
        rho = jnp.asarray(scalars.rho, old.dtype)
        past = jnp.where(first, jnp.zeros_like(rho), rho)

        def orthonormal(basis: jax.Array) -> jax.Array:
            # A A' basis; A is never formed.
            inner, outer = self.products(basis, past)
            seen = past * (old @ inner) + (1 - past) * outer
            # With no gradient so far there is nothing to turn to. By columns, as the
            # factorization does: they are searched once.
            nothing = jnp.all(jnp.max(jnp.abs(seen.T), axis=1) == 0)
            if options.factorization == "cholesky":
                seen = jnp.where(nothing, basis, seen)
            return jnp.where(nothing, basis, factorized(seen))

        def refined(basis: jax.Array) -> jax.Array:
            return jax.lax.fori_loop(
                0, START_ITERATIONS - 1, lambda _, b: orthonormal(b), basis
            )

        if options.projector == "svd":
            decomposed = low_rank.leading_left_vectors(self.whole(past), rank)
            if options.start == "svd":
                return decomposed
            started = lambda: orthonormal(refined(old))
            return jax.lax.cond(first, started, lambda: decomposed)
        if options.start == "svd":
            nothing = jnp.zeros_like(past)
            return jax.lax.cond(
                first,
                lambda: low_rank.leading_left_vectors(self.whole(nothing), rank),
                lambda: orthonormal(old),
            )
        mesh = traced_mesh(old)
        if traced_for(old) != "cpu" or (mesh is not None and mesh.size > 1):
            # Under the `cond` of every iteration a TPU would copy the gradient; and of
            # a loop whose turns the program does not tell, no one can say how much it
            # sends between devices.
            return orthonormal(jax.lax.cond(first, refined, lambda p: p, old))

        # One iteration in the text of the program, not one more for the first step:
        # loops take long to compile on a CPU.
        number = jnp.where(first, START_ITERATIONS, 1)
        once = lambda _, basis: orthonormal(basis)
        return loops.repeat(once, number, old, most=START_ITERATIONS)
