"""Extreme eigenvalues with residuals as error bounds."""
# Its examples wait for pytest --full.

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxopt_lab.core import checks as arguments
from jaxopt_lab.core import trees
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.typing import PyTree
from jaxopt_lab.curvature.operators import vector_trees as vt
from jaxopt_lab.curvature.operators.operator import (
    Operator,
    check_operator,
    check_vector,
    draw,
)
from jaxopt_lab.curvature.spectrum.lanczos import Which, lanczos, order


class TopEigenvalues(NamedTuple):
    """Ritz pairs at one end of the spectrum, the extreme one first.

    Attributes:
      values: ``(k,)``; NaN where the Krylov space ended before.
      vectors: stacked unit vectors ``(k, *shape)`` like the parameters; zeros where
        there is no value. None without reorthogonalization.
      residuals: ``|H y - theta y|``, ``(k,)``: there is an eigenvalue within this
        distance of the value.
      matvecs: products spent.
    """

    values: Array | np.ndarray
    vectors: PyTree | None
    residuals: Array | np.ndarray
    matvecs: Array | int

    @property
    def value(self) -> Array | np.floating:
        """The extreme value, under the name that all diagnostics share."""
        return self.values[0]

    @property
    def error(self) -> Array | np.floating:
        """Its residual."""
        return self.residuals[0]

    def named(self, name: str) -> dict[str, float]:
        """Values and residuals as numbers by name, for records.

        Args:
          name: prefix of the number of the pair.

        Returns:
          ``NAME_1``, ``NAME_1_residual``, ``NAME_2``, ...
        """
        found = {}
        for i, pair in enumerate(zip(self.values, self.residuals, strict=True), 1):
            found[f"{name}_{i}"], found[f"{name}_{i}_residual"] = map(float, pair)
        return found


@partial(jax.jit, static_argnums=3)
def _noisy(v: PyTree, noise: PyTree, valid: Array | float, size: int) -> PyTree:
    v, _ = vt.unit(v)
    return vt.add_scaled(v, valid / size**0.5, noise)


_combine = jax.jit(vt.combine)


def top_eigenvalues(
    operator: Operator,
    key: Array,
    k: int = 1,
    *,
    num_steps: int = 50,
    tol: float | None = 1e-3,
    which: Which = "largest",
    start: PyTree | None = None,
    start_noise: float = 0.01,
    reorthogonalize: bool = True,
    traced: bool = False,
) -> TopEigenvalues:
    r"""The k largest (or smallest) eigenvalues and their eigenvectors, by Lanczos.

    Args:
      operator: H, symmetric.
      key: typed PRNG key for the start vector.
      k: their number, at most P.
      num_steps: products at most; at least ``k``.
      tol: stop when the residuals of all k pairs are at most ``tol`` times the
        largest absolute Ritz value. A value's error is below its residual, and for
        an isolated eigenvalue about the residual's square over the gap: 1e-3 gives
        some 6 digits of it. None: take all steps (``traced`` always does).
      which: ``"largest"``, ``"smallest"``, both algebraic, or ``"magnitude"``. The
        lower edge of a loss Hessian converges several times later than the upper: 20
        steps leave it wrong by half its size. Check the residual.
      start: a vector to start from, such as the top eigenvector at an earlier point
        of training (``loops.take(previous.vectors, 0)``).
      start_noise: norm of the random part added to the normalized ``start``: an
        exact eigenvector alone would end the iteration after one step.
      reorthogonalize: False holds three vectors only; then ``k`` must be 1, and there
        is no eigenvector.
      traced: run as one program; see ``lanczos``.

    Returns:
      ``TopEigenvalues``.

    Raises:
      InputError: ``k`` is out of range, ``num_steps`` is less than ``k``, or as in
        ``lanczos``.

    Each distinct eigenvalue is found once, whatever its multiplicity.

    >>> import jax, jax.numpy as jnp
    >>> from jaxopt_lab import curvature
    >>> diagonal = jnp.arange(100.0)
    >>> h = curvature.linear_operator(lambda v: diagonal * v, diagonal)
    >>> top = top_eigenvalues(h, jax.random.key(0), 2)
    >>> [round(float(x), 2) for x in top.values], bool(max(top.residuals) < 0.1)
    ([99.0, 98.0], True)

    Source: Lanczos, Journal of Research of the National Bureau of Standards 45 (1950).
    """
    arguments.check_positive_count("k", k)
    arguments.check_positive_count("num_steps", num_steps)
    arguments.check_non_negative("start_noise", start_noise)
    check_operator(operator)
    if k > operator.size:
        raise InputError(
            f"k must be at most the number of parameters, {operator.size}; got {k}"
        )
    if num_steps < k:
        raise InputError(f"num_steps must be at least k = {k}; got {num_steps}")
    if not reorthogonalize and k > 1:
        raise InputError(
            f"without reorthogonalization eigenvalues repeat: k must be 1; got {k}"
        )
    if start is not None:
        check_vector(start, operator.like, "start")
        start = _noisy(start, draw(operator, key), start_noise, operator.size)
    result = lanczos(
        operator,
        key,
        num_steps,
        start=start,
        tol=None if traced else tol,
        wanted=k,
        which=which,
        reorthogonalize=reorthogonalize,
        traced=traced,
    )
    if traced:
        return _pick_traced(result, k, which)
    return _pick(result, k, which)


def _pick(result: Any, k: int, which: Which) -> TopEigenvalues:
    first = order(result.values, which)[:k]
    found = len(first)
    values, residuals = np.full(k, np.nan), np.full(k, np.nan)
    values[:found] = result.values[first]
    residuals[:found] = result.residuals[first]
    vectors = None
    if result.basis is not None:
        rows = jax.tree.leaves(result.basis)[0].shape[0]
        rotation = np.zeros((rows, k))
        rotation[: result.valid, :found] = result.rotation[:, first]
        vectors = _combine(rotation.astype(_dtype(result.basis)), result.basis)
    return TopEigenvalues(values, vectors, residuals, result.matvecs)


def _dtype(tree: PyTree) -> Any:
    return trees.scalar_dtype(tree)


@partial(jax.jit, static_argnums=(1, 2))
def _pick_traced(result: Any, k: int, which: Which) -> TopEigenvalues:
    count = result.values.shape[0]
    inside = jnp.arange(count) < result.valid
    rank = {
        "largest": -result.values,
        "smallest": result.values,
        "magnitude": -jnp.abs(result.values),
    }[which]
    first = jnp.argsort(jnp.where(inside, rank, jnp.inf), stable=True)[:k]
    values = jnp.where(inside, result.values, jnp.nan)[first]
    residuals = jnp.where(inside, result.residuals, jnp.nan)[first]
    vectors = None
    if result.basis is not None:
        vectors = vt.combine(result.rotation[:, first], result.basis)
    return TopEigenvalues(values, vectors, residuals, result.matvecs)
