"""Approximate products with the inverse of a Hessian that is known by its products."""

from __future__ import annotations

import types
from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
from jaxtyping import PyTree

from jaxopt_lab import trees
from jaxopt_lab.errors import InputError
from jaxopt_lab.typing import Scalar

Product: TypeAlias = Callable[[PyTree], PyTree]


class ConjugateGradients(NamedTuple):
    """``(H + damping I)^-1 b`` by conjugate gradients, for a positive semi-definite H.

    Attributes:
      damping: added to the diagonal.
      tol: the solution and the residual are final when both change or are less than
        this, relative to the solution and to b; by default the unit roundoff of b's
        dtype to the power 3/4 (2e-12 in float64, 6e-6 in float32).
      max_steps: at most so many products; ``None`` for as many as it takes.
    """

    damping: Scalar = 0.0
    tol: float | None = None
    max_steps: int | None = None

    def __call__(
        self, product: Product, b: PyTree, guess: PyTree | None = None
    ) -> tuple[PyTree, jax.Array]:
        """The solution and the number of products that it took."""
        lineax = _lineax()
        like = b
        product, b, guess = widened(product, b, guess)
        operator = lineax.FunctionLinearOperator(
            damped(product, self.damping),
            jax.eval_shape(lambda: b),
            tags=lineax.positive_semidefinite_tag,
        )
        tol = _default_tol(b) if self.tol is None else self.tol
        solution = lineax.linear_solve(
            operator,
            b,
            lineax.CG(rtol=tol, atol=0.0, max_steps=self.max_steps),
            options={} if guess is None else {"y0": guess},
            # What a cut iteration has reached is what is wanted of it.
            throw=False,
        )
        steps = jnp.asarray(solution.stats["num_steps"], jnp.int32)
        return cast_like(solution.value, like), steps


class NeumannSeries(NamedTuple):
    r"""``alpha \sum_{k < terms} (I - alpha (H + damping I))^k b``.

    Converges to the inverse for 0 < alpha < 2 / (largest eigenvalue), also where H is
    not symmetric but its eigenvalues have positive real parts and alpha is small.

    Attributes:
      alpha: the step, the reciprocal of a bound on the largest eigenvalue or a little
        less than twice that.
      terms: number of terms; the error shrinks by the largest abs(1 - alpha lambda)
        with each.
      damping: added to the diagonal.
    """

    alpha: Scalar
    terms: int = 20
    damping: Scalar = 0.0

    def __call__(
        self, product: Product, b: PyTree, guess: PyTree | None = None
    ) -> tuple[PyTree, jax.Array]:
        """The sum and the number of products that it took."""
        like = b
        product, b, guess = widened(product, b, guess)
        matvec = damped(product, self.damping)

        def step(u: PyTree, _: None) -> tuple[PyTree, None]:
            # The series by Horner's rule, which is descent on u'Hu/2 - b'u and may
            # therefore start anywhere.
            change = jax.tree.map(jnp.subtract, b, matvec(u))
            return scaled_sum(u, self.alpha, change), None

        if guess is None:
            first = jax.tree.map(lambda x: times(self.alpha, x), b)
            done = 1
        else:
            first, done = guess, 0
        u, _ = jax.lax.scan(step, first, None, length=self.terms - done)
        return cast_like(u, like), jnp.int32(self.terms - done)


Solver: TypeAlias = ConjugateGradients | NeumannSeries


def widened(
    product: Product, b: PyTree, guess: PyTree | None
) -> tuple[Product, PyTree, PyTree | None]:
    """The system with all leaves in one dtype, float32 or wider.

    Inner products of float16 vectors are too rough for either iteration, and lineax
    wants leaves of one dtype.

    Args:
      product: of trees like ``b``.
      b: the right-hand side.
      guess: a tree like ``b``, or ``None``.

    Returns:
      The same three; the product still works in the dtypes of ``b``.
    """
    dtype = trees.accumulation_dtype(jnp.result_type(*jax.tree.leaves(b)))
    wide = lambda tree: trees.cast(tree, dtype)
    return (
        lambda v: wide(product(cast_like(v, b))),
        wide(b),
        None if guess is None else wide(guess),
    )


def cast_like(tree: PyTree, like: PyTree) -> PyTree:
    """The tree with the dtypes of another one, leaf by leaf."""
    return jax.tree.map(lambda x, y: x.astype(y.dtype), tree, like)


def damped(product: Product, damping: Scalar) -> Product:
    """``v -> H v + damping v``."""
    if isinstance(damping, int | float) and damping == 0:
        return product
    return lambda v: scaled_sum(product(v), damping, v)


def times(factor: Scalar, x: jax.Array) -> jax.Array:
    """``factor * x`` in the dtype of ``x``."""
    return jnp.asarray(factor, x.dtype) * x


def scaled_sum(x: PyTree, factor: Scalar, y: PyTree) -> PyTree:
    """``x + factor * y``, leaf by leaf in its own dtype."""
    return jax.tree.map(lambda a, b: a + times(factor, b), x, y)


def relative_residual(
    product: Product, damping: Scalar, u: PyTree, b: PyTree
) -> jax.Array:
    """``|(H + damping I) u - b| / |b|``; 0 where b is 0. Costs one product."""
    off = jax.tree.map(jnp.subtract, damped(product, damping)(u), b)
    return trees.safe_divide(trees.global_norm(off), trees.global_norm(b))


def _default_tol(b: PyTree) -> float:
    eps = max(float(jnp.finfo(x.dtype).eps) for x in jax.tree.leaves(b))
    return eps**0.75


def _lineax() -> types.ModuleType:
    # Not at the top: only those who solve linear systems need it installed.
    try:
        import lineax
    except ImportError as error:
        raise InputError(
            "conjugate gradients need lineax, which is not installed: pip install "
            '"jaxopt_lab[bilevel]" (mode="neumann" works without)'
        ) from error
    return lineax
