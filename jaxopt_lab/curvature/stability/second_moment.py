"""Second-moment map of linearised SGD, its spectral radius and threshold."""
# Its examples wait for pytest --full.

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Literal, NamedTuple, get_args

import jax
import jax.numpy as jnp

from jaxopt_lab.core import errors
from jaxopt_lab.core.checks import check_non_negative, check_positive_count
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.numbers import is_whole, known_number
from jaxopt_lab.core.trees import safe_divide, safe_sqrt
from jaxopt_lab.core.typing import Scalar
from jaxopt_lab.curvature.spectrum.locally_optimal import Eigenvalue, largest_eigenvalue
from jaxopt_lab.curvature.stability.sample_hessians import (
    SampleHessians,
    mean_square,
    reciprocal,
)

Sampling = Literal["bernoulli", "with_replacement", "without_replacement"]


class Threshold(NamedTuple):
    """A learning rate found by iteration.

    Attributes:
      learning_rate: the threshold; infinite where every Hessian is zero.
      relative_residual: residual of the eigenvalue behind it, relative to it.
      steps: applications of the map beyond the first.
    """

    learning_rate: jax.Array
    relative_residual: jax.Array
    steps: jax.Array


def check_batch(batch_size: object, population: object, sampling: str) -> Sampling:
    """Refuse an unknown sampling or a batch that it cannot draw.

    Args:
      batch_size: B; traced values pass.
      population: N.
      sampling: name of the sampling.

    Returns:
      The sampling.

    Raises:
      InputError: the name is unknown, or B is not in 1 to N.
    """
    if sampling not in get_args(Sampling):
        raise errors.unknown("sampling", sampling, get_args(Sampling))
    size = known_number(batch_size)
    if size is not None and is_whole(population):
        top: Any = float("inf") if sampling == "with_replacement" else population
        if not 1 <= size <= top:
            raise InputError(
                f"batch_size must lie in 1 to {top}, the number of examples; got "
                f"{batch_size}"
            )
    return sampling  # type: ignore[return-value]


def noise_weights(
    batch_size: Scalar, population: int, sampling: Sampling
) -> tuple[jax.Array, jax.Array]:
    r"""a and b in :math:`E[\hat H M \hat H] = a\,HMH + b\,\frac1n\sum_i H_i M H_i`.

    Args:
      batch_size: B.
      population: N, the number of examples that batches are drawn from.
      sampling: ``"bernoulli"`` (each example with probability B/N, divided by B),
        a = 1, b = 1/B - 1/N; ``"without_replacement"``, b = (N-B)/(B(N-1)),
        a = 1 - b; ``"with_replacement"``, b = 1/B, a = 1 - b.

    Returns:
      ``(a, b)``, in the widest floating type that is enabled.

    Raises:
      InputError: see ``check_batch``.
    """
    check_batch(batch_size, population, sampling)
    check_positive_count("population", population)
    size = jnp.asarray(batch_size, jnp.result_type(float))
    if sampling == "bernoulli":
        return jnp.ones_like(size), (population - size) / (size * population)
    if sampling == "with_replacement":
        return 1 - 1 / size, 1 / size
    b = (population - size) / (size * max(population - 1, 1))
    return 1 - b, b


def second_moment_map(
    hessians: SampleHessians,
    learning_rate: Scalar,
    batch_size: Scalar,
    *,
    sampling: Sampling = "bernoulli",
    population: int | None = None,
) -> Callable[[jax.Array], jax.Array]:
    r"""One step of the second moment :math:`M = E[w w^\top]` of linearised SGD.

    With :math:`w \leftarrow (I - \eta \hat H) w`, :math:`\hat H` the mean Hessian of
    a batch, and :math:`J = I - \eta H`:

    .. math::
        M \leftarrow J M J + \eta^2 \big((a - 1) H M H
                     + b \tfrac1n \textstyle\sum_i H_i M H_i\big),

    a and b as in ``noise_weights``. The map is self-adjoint and keeps positive
    semi-definite matrices so; it acts on matrices of the size of the Gram matrix.

    Args:
      hessians: the example Hessians.
      learning_rate: eta.
      batch_size: B.
      sampling: sampling scheme of batches.
      population: N, if the Hessians are those of a subsample; default, their number.

    Returns:
      The map of ``(r, r)`` matrices; null rows and columns are taken for zero.

    Raises:
      InputError: the learning rate is negative, or see ``check_batch``.

    >>> from jaxopt_lab.curvature.stability.sample_hessians import from_hessians
    >>> step = second_moment_map(from_hessians(jnp.eye(1)[None]), 0.5, 1)
    >>> float(step(jnp.ones((1, 1)))[0, 0])  # (1 - 0.5)^2
    0.25

    Reference: Dexter, Ocejo, Keerthi, Gupta, Acharya and Khanna, "A Precise
    Characterization of SGD Stability Using Loss Surface Geometry", arXiv:2401.12332
    (Bernoulli sampling).
    """
    check_non_negative("learning_rate", learning_rate)
    a, b = _weights(hessians, batch_size, population, sampling)
    return _step(hessians, jnp.asarray(learning_rate, a.dtype), a, b)


def spectral_radius(
    hessians: SampleHessians,
    learning_rate: Scalar,
    batch_size: Scalar,
    *,
    sampling: Sampling = "bernoulli",
    population: int | None = None,
    tol: float | None = None,
    max_steps: int = 500,
) -> Eigenvalue:
    """Factor by which the second moment grows in a step, on the range of the Hessian.

    The map keeps the positive cone, so its spectral radius is an eigenvalue with a
    positive semi-definite eigenvector: the identity, where the iteration starts,
    cannot be orthogonal to it.

    Args:
      hessians: the example Hessians.
      learning_rate: eta.
      batch_size: B.
      sampling: sampling scheme of batches.
      population: N, if the Hessians are those of a subsample.
      tol: relative residual at which to stop; default ``eps ** 0.6``. The error of
        the value is of second order in it where the next eigenvalue is not close.
      max_steps: most steps.

    Returns:
      The spectral radius; SGD diverges in mean square where it is above 1.

    Raises:
      InputError: as ``second_moment_map``.

    >>> from jaxopt_lab.curvature.stability.sample_hessians import from_hessians
    >>> float(spectral_radius(from_hessians(jnp.eye(1)[None]), 3.0, 1).value)
    4.0
    """
    check_non_negative("learning_rate", learning_rate)
    a, b = _weights(hessians, batch_size, population, sampling)
    eta = jnp.asarray(learning_rate, a.dtype)
    return _spectral_radius(hessians, eta, a, b, tol, max_steps)


def exact_threshold(
    hessians: SampleHessians,
    batch_size: Scalar,
    *,
    sampling: Sampling = "bernoulli",
    population: int | None = None,
    tol: float | None = None,
    max_steps: int = 500,
) -> Threshold:
    r"""Learning rate above which linearised SGD diverges in mean square.

    The spectral radius of the second-moment map
    :math:`T = \mathrm{id} - \eta L + \eta^2 Q`, with :math:`L M = H M + M H` and
    :math:`Q M = E[\hat H M \hat H]`, is its largest eigenvalue, so that it passes 1
    where the largest eigenvalue of :math:`\eta Q - L` passes 0. On the range of H, L
    is positive and diagonal, hence

    .. math:: \eta^* = 1 / \lambda_{\max}(L^{-1/2} Q L^{-1/2}):

    one eigenvalue problem instead of one for each step of a bisection over eta. That
    there is one threshold, not several, follows as well.

    Args:
      hessians: the example Hessians.
      batch_size: B.
      sampling: sampling scheme of batches.
      population: N, if the Hessians are those of a subsample.
      tol: relative residual at which to stop; default ``eps ** 0.6``.
      max_steps: most steps.

    Returns:
      The threshold. The Rayleigh quotient never exceeds the eigenvalue: an iteration
      that was cut short gives a rate that is too high, never too low.

    Raises:
      InputError: as ``second_moment_map``.

    Memory: 8 matrices of ``(r, r)``. Cost of a step: see ``mean_square``. The
    iteration is a ``while_loop``: no reverse-mode derivative.

    >>> from jaxopt_lab.curvature.stability.sample_hessians import from_hessians
    >>> h = from_hessians(jnp.stack([jnp.diag(jnp.array([2.0, 0.0])),
    ...                              jnp.diag(jnp.array([0.0, 2.0]))]))
    >>> round(float(exact_threshold(h, 1).learning_rate), 4)  # 2 B / 2
    1.0
    """
    a, b = _weights(hessians, batch_size, population, sampling)
    found = _largest_of_the_pencil(hessians, a, b, tol, max_steps)
    rate = jnp.where(found.value <= 0, jnp.inf, reciprocal(found.value))
    return Threshold(rate, safe_divide(found.residual, found.value), found.steps)


def _weights(
    hessians: SampleHessians,
    batch_size: Scalar,
    population: int | None,
    sampling: Sampling,
) -> tuple[jax.Array, jax.Array]:
    size = hessians.factors.shape[0] if population is None else population
    a, b = noise_weights(batch_size, size, sampling)
    dtype = hessians.eigenvalues.dtype
    return a.astype(dtype), b.astype(dtype)


def _step(
    hessians: SampleHessians, eta: jax.Array, a: jax.Array, b: jax.Array
) -> Callable[[jax.Array], jax.Array]:
    values = hessians.eigenvalues
    shrink = 1 - eta * values
    along = shrink[:, None] * shrink[None]
    along = along + eta**2 * (a - 1) * values[:, None] * values[None]
    return lambda m: along * m + eta**2 * b * mean_square(hessians, m)


# Jitted here: a loop called without jit would compile in every call.
@functools.partial(jax.jit, static_argnums=(4, 5))
def _spectral_radius(
    hessians: SampleHessians,
    eta: jax.Array,
    a: jax.Array,
    b: jax.Array,
    tol: float | None,
    max_steps: int,
) -> Eigenvalue:
    values = hessians.eigenvalues
    start = jnp.diag((values > 0).astype(values.dtype))
    step = _step(hessians, eta, a, b)
    return largest_eigenvalue(step, start, tol=tol, max_steps=max_steps)


@functools.partial(jax.jit, static_argnums=(3, 4))
def _largest_of_the_pencil(
    hessians: SampleHessians,
    a: jax.Array,
    b: jax.Array,
    tol: float | None,
    max_steps: int,
) -> Eigenvalue:
    values = hessians.eigenvalues
    inside = ((values[:, None] > 0) & (values[None] > 0)).astype(values.dtype)
    scale = reciprocal(safe_sqrt(values[:, None] + values[None])) * inside
    along = a * values[:, None] * values[None]

    def pencil(moment: jax.Array) -> jax.Array:
        inner = scale * moment
        return scale * (along * inner + b * mean_square(hessians, inner))

    start = jnp.diag(safe_sqrt(2 * values))
    return largest_eigenvalue(pencil, start, tol=tol, max_steps=max_steps)
