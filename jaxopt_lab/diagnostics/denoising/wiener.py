"""The optimal linear denoiser of data."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.options import NON_NEGATIVE, check_arguments
from jaxopt_lab.core.trees import accumulation_dtype
from jaxopt_lab.core.typing import Scalar


class WienerDenoiser(NamedTuple):
    """Mean and covariance of the data.

    Attributes:
      mean: ``(P,)``, float32, float64 for float64.
      covariance: ``(P, P)``, with the divisor N - 1.
    """

    mean: jax.Array
    covariance: jax.Array


def fit_wiener(
    data: Mapping[str, Any],
    *,
    where: jax.Array | None = None,
    key: jax.Array | None = None,
    ridge: Annotated[Scalar, NON_NEGATIVE] = 0.0,
) -> WienerDenoiser:
    """Fit the optimal linear denoiser.

    Args:
      data: a dict with ``"image"``, ``(N, ...)``, real floating.
      where: ``(N,)``, weights of the examples: 2 is an example twice, 0 drops it.
      key: not used.
      ridge: variance that is added to that of every feature.

    Returns:
      Mean and covariance; without examples zeros.

    Raises:
      InputError: there is no ``"image"`` of floating numbers, or ``where`` does not
        fit.

    Memory: ``P^2``. Differentiable.

    Source: the Wiener filter; of diffusion models "Locality in Image Diffusion Models
    Emerges from Data Statistics", arXiv:2509.09672.

    >>> found = fit_wiener({"image": jnp.array([[0.0, 1.0], [2.0, 1.0]])})
    >>> found.mean.tolist(), found.covariance.tolist()
    ([1.0, 1.0], [[2.0, 0.0], [0.0, 0.0]])
    """
    del key
    check_arguments(fit_wiener, {"ridge": ridge})
    if not isinstance(data, Mapping) or "image" not in data:
        raise InputError("data must be a dict with 'image'")
    x = as_rows("data", data["image"])
    weights = jnp.ones(len(x), x.dtype)
    if where is not None:
        if jnp.shape(where) != weights.shape:
            raise InputError(
                f"where must have shape {weights.shape}; got {jnp.shape(where)}"
            )
        weights = jnp.asarray(where).astype(x.dtype)
        # An example that is dropped may be anything.
        x = jnp.where((weights > 0)[:, None], x, 0)
    total = jnp.sum(weights)
    mean = weights @ x / jnp.where(total > 0, total, 1)
    apart = x - mean[None]
    divisor = jnp.where(total > 1, total - 1, 1)
    covariance = jnp.einsum("n,np,nq->pq", weights, apart, apart) / divisor
    more = jnp.asarray(ridge, x.dtype) * jnp.eye(len(mean), dtype=x.dtype)
    return WienerDenoiser(mean, covariance + more)


def wiener_filter(fitted: WienerDenoiser, alpha: Scalar) -> jax.Array:
    r"""The matrix K of the denoiser, whose row p says what pixel p depends on.

    Args:
      fitted: of ``fit_wiener``.
      alpha: :math:`a`, the cumulative signal of
        :math:`x_t = \sqrt a x_0 + \sqrt{1 - a} e`, in [0, 1].

    Returns:
      ``(P, P)``, :math:`a C (a C + (1 - a) I)^{-1}` for the covariance C.

    >>> fitted = WienerDenoiser(jnp.zeros(1), jnp.ones((1, 1)))
    >>> wiener_filter(fitted, 0.5).tolist()
    [[0.5]]
    """
    signal, noisy = _parts(fitted, alpha)
    return jnp.linalg.solve(noisy, signal).T


def wiener_denoise(fitted: WienerDenoiser, inputs: Mapping[str, Any]) -> jax.Array:
    r"""The denoised inputs, the posterior mean were the data Gaussian.

    Args:
      fitted: of ``fit_wiener``.
      inputs: a dict of ``"x"``, noisy :math:`x_t`, ``(B, ...)``, and ``"alpha"``,
        :math:`a`.

    Returns:
      :math:`m + \sqrt a\, C (a C + (1 - a) I)^{-1} (x_t - \sqrt a m)`, in the shape and
      type of x. At a = 0 it is the mean; as a goes to 1 it goes to x, if C has full
      rank. Beside a C of trace T, :math:`1 - a` is at least the machine epsilon times
      T / P, so that a = 1 divides by no zero.

    Raises:
      InputError: x has other features than the data.

    >>> fitted = WienerDenoiser(jnp.zeros(1), jnp.ones((1, 1)))
    >>> wiener_denoise(fitted, {"x": jnp.array([[4.0]]), "alpha": 0.25}).tolist()
    [[2.0]]
    """
    given = jnp.asarray(inputs["x"])
    rows = as_rows("x", given)
    if rows.shape[1] != len(fitted.mean):
        raise InputError(f"x has {rows.shape[1]} features, the data {len(fitted.mean)}")
    dtype = fitted.mean.dtype
    root = jnp.sqrt(jnp.asarray(inputs["alpha"], dtype))
    _, noisy = _parts(fitted, inputs["alpha"])
    apart = rows.astype(dtype) - root * fitted.mean[None]
    gain = jnp.linalg.solve(noisy, apart.T).T
    found = fitted.mean[None] + root * gain @ fitted.covariance
    return found.reshape(given.shape).astype(given.dtype)


def rescaled(inputs: Mapping[str, Any]) -> jax.Array:
    r"""The denoised inputs where nothing is known of the data: :math:`x_t / \sqrt a`.

    Args:
      inputs: as of ``wiener_denoise``.

    Returns:
      In the shape of x.

    >>> rescaled({"x": jnp.array([1.0]), "alpha": 0.25}).tolist()
    [2.0]
    """
    x = jnp.asarray(inputs["x"])
    return x / jnp.sqrt(jnp.asarray(inputs["alpha"], x.dtype))


def as_rows(name: str, x: Any) -> jax.Array:
    """Examples as rows of real floating numbers, float32 or float64.

    Args:
      name: of the argument.
      x: ``(N, ...)``.

    Returns:
      ``(N, P)``.

    Raises:
      InputError: it is another array.

    >>> as_rows("x", jnp.zeros((3, 2, 2))).shape
    (3, 4)
    """
    x = jnp.asarray(x)
    if x.ndim < 2 or not jnp.issubdtype(x.dtype, jnp.floating):
        raise InputError(
            f"{name} must be (N, ...) of real floating numbers; got {x.dtype} of "
            f"shape {x.shape}"
        )
    return x.reshape(len(x), math.prod(x.shape[1:])).astype(accumulation_dtype(x.dtype))


def _parts(fitted: WienerDenoiser, alpha: Scalar) -> tuple[jax.Array, jax.Array]:
    """Covariances of the signal and of the noisy data."""
    covariance = fitted.covariance
    a = jnp.asarray(alpha, covariance.dtype)
    size = len(covariance)
    info = jnp.finfo(covariance.dtype)
    eps, tiny = (jnp.asarray(float(v), a.dtype) for v in (info.eps, info.tiny))
    least = jnp.maximum(eps * jnp.trace(covariance) / size, tiny)
    noise = jnp.maximum(1 - a, least) * jnp.eye(size, dtype=a.dtype)
    return a * covariance, a * covariance + noise
