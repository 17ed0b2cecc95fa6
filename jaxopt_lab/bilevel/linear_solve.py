"""Matrix-free linear solvers for damped Hessians: CG and Neumann series."""

from __future__ import annotations

import functools
import types
from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import jax
import jax.numpy as jnp

from jaxopt_lab.core import trees
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.numbers import known_number
from jaxopt_lab.core.typing import PyTree, Scalar

Product: TypeAlias = Callable[[PyTree], PyTree]


class ConjugateGradients(NamedTuple):
    """``(H + damping I)^-1 b`` by conjugate gradients, for a positive semi-definite H.

    Attributes:
      damping: added to the diagonal.
      tol: the iteration ends when no entry of the residual is larger than this,
        relative to the length of b, nor an entry of the last change, relative to the
        solution; by default the unit roundoff of b's dtype to the power 3/4 (2e-12 in
        float64, 6e-6 in float32).
      max_steps: at most so many products; ``None`` for as many as it takes.
    """

    damping: Scalar = 0.0
    tol: float | None = None
    max_steps: int | None = None

    def __call__(
        self, product: Product, b: PyTree, guess: PyTree | None = None
    ) -> tuple[PyTree, jax.Array]:
        """The solution and the number of products that it took."""
        like = b
        product, b, guess = widened(product, b, guess)
        # lineax's own rule raises an error where the transposed solve is truncated;
        # with custom_linear_solve the derivatives are solves like this one.
        u, steps = jax.lax.custom_linear_solve(
            damped(product, self.damping),
            b,
            lambda product, b: self._solve(product, b, guess),
            symmetric=True,
            has_aux=True,
        )
        return cast_like(u, like), steps

    def _solve(
        self, product: Product, b: PyTree, guess: PyTree | None
    ) -> tuple[PyTree, jax.Array]:
        lineax = _lineax()
        shapes = jax.eval_shape(lambda: b)
        positive = lineax.positive_semidefinite_tag
        operator = functools.partial(
            lineax.FunctionLinearOperator, input_structure=shapes, tags=positive
        )
        # lineax measures each entry by atol + rtol times itself: with atol = 0 a zero
        # in b would end the iteration at once. With b of length 1, atol is relative.
        length = trees.global_norm(b)
        shrink = trees.safe_divide(jnp.ones_like(length), length)
        unit = jax.tree.map(lambda x: times(shrink, x), b)
        # lineax also gives NaN where p'Hp < 100 n eps r'r, in float32 for most
        # Hessians; a constant factor as preconditioner shifts that bound to 1e-9.
        dtype = jnp.result_type(*jax.tree.leaves(b))
        factor = 1e11 * trees.count(b) * float(jnp.finfo(dtype).eps)
        options = {
            "preconditioner": operator(
                lambda v: jax.tree.map(lambda x: times(factor, x), v)
            )
        }
        if guess is not None:
            options["y0"] = jax.tree.map(lambda x: times(shrink, x), guess)
        tol = float(jnp.finfo(dtype).eps) ** 0.75 if self.tol is None else self.tol
        solution = lineax.linear_solve(
            operator(product),
            unit,
            lineax.CG(rtol=tol, atol=tol, max_steps=self.max_steps),
            options=options,
            # A truncated iteration returns its last iterate.
            throw=False,
        )
        u = jax.tree.map(lambda x: times(length, x), solution.value)
        return u, jnp.asarray(solution.stats["num_steps"], jnp.int32)


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
            # Horner's rule for the series, which equals gradient descent on
            # u'Hu/2 - b'u and may therefore start anywhere.
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
    """The tree with the dtypes of another one, leaf by leaf.

    Args:
      tree: of arrays.
      like: of arrays in the same structure.

    Returns:
      The tree.
    """
    return jax.tree.map(lambda x, y: x.astype(y.dtype), tree, like)


def damped(product: Product, damping: Scalar) -> Product:
    """``v -> H v + damping v``.

    Args:
      product: ``v -> H v``.
      damping: a number or a traced scalar.

    Returns:
      The product; the given one itself where ``damping`` is the number 0.
    """
    if known_number(damping) == 0:
        return product
    return lambda v: scaled_sum(product(v), damping, v)


def times(factor: Scalar, x: jax.Array) -> jax.Array:
    """``factor * x`` in the dtype of ``x``.

    Args:
      factor: a number or a scalar.
      x: an array.

    Returns:
      The product.
    """
    return jnp.asarray(factor, x.dtype) * x


def scaled_sum(x: PyTree, factor: Scalar, y: PyTree) -> PyTree:
    """``x + factor * y``, leaf by leaf in its own dtype.

    Args:
      x: a tree of arrays.
      factor: a number or a scalar.
      y: a tree like ``x``.

    Returns:
      The sum.
    """
    return jax.tree.map(lambda a, b: a + times(factor, b), x, y)


def relative_residual(
    product: Product, damping: Scalar, u: PyTree, b: PyTree
) -> jax.Array:
    """``|(H + damping I) u - b| / |b|``; 0 where b is 0. Costs one product.

    Args:
      product: ``v -> H v``.
      damping: what is added to the diagonal of ``H``.
      u: the approximate solution.
      b: the right-hand side.

    Returns:
      A scalar.
    """
    off = jax.tree.map(jnp.subtract, damped(product, damping)(u), b)
    return trees.safe_divide(trees.global_norm(off), trees.global_norm(b))


def _lineax() -> types.ModuleType:
    # Imported lazily: only linear solves need it installed.
    try:
        import lineax
    except ImportError as error:
        raise InputError(
            "conjugate gradients need lineax, which is not installed: pip install "
            '"jaxopt_lab[bilevel]" (mode="neumann" works without)'
        ) from error
    return lineax
