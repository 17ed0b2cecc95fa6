"""Kernel ridge regression with its uncertainty, for a few hundred candidates."""

from __future__ import annotations

from typing import Annotated, Any, Literal, NamedTuple

import numpy as np

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.options import POSITIVE, check_arguments

Kernel = Literal["rbf", "linear"]


class KernelRidge(NamedTuple):
    """A fitted regression.

    Attributes:
      inputs: ``(n, features)``.
      weights: ``(n,)``.
      inverse: ``(n, n)`` of the kernel matrix with the ridge.
      mean: of the targets.
      scale: their deviation, 1 if they are equal.
      length: of the kernel.
      kernel: its name.
    """

    inputs: np.ndarray
    weights: np.ndarray
    inverse: np.ndarray
    mean: float
    scale: float
    length: float
    kernel: str


def fit_kernel_ridge(
    inputs: Any,
    targets: Any,
    *,
    ridge: Annotated[float, POSITIVE] = 1e-2,
    length: Annotated[float, POSITIVE] = 0.5,
    kernel: Kernel = "rbf",
) -> KernelRidge:
    r"""Regression by a kernel.

    .. math:: \hat y(x) = k(x)^\top (K + \lambda I)^{-1} y, \qquad
        k(x, z) = e^{-|x - z|^2 / (2 l^2)}

    of targets that are centred and scaled to deviation 1.

    Args:
      inputs: ``(n, features)``.
      targets: ``(n,)`` finite.
      ridge: :math:`\lambda`, the variance of the noise over that of the targets.
      length: l.
      kernel: as above, or the product of the inputs.

    Returns:
      The fit; O(n^3) time.

    Raises:
      InputError: sizes do not fit, there is nothing, or a target is not finite.

    >>> fit = fit_kernel_ridge([[0.0], [1.0]], [0.0, 2.0], ridge=1e-9)
    >>> predict_kernel_ridge(fit, [[1.0]])[0].round(6).tolist()
    [2.0]
    """
    check_arguments(
        fit_kernel_ridge, {"ridge": ridge, "length": length, "kernel": kernel}
    )
    x, y = np.asarray(inputs, float), np.asarray(targets, float)
    if x.ndim != 2 or y.shape != x.shape[:1] or not len(y) or not np.isfinite(y).all():
        raise InputError(
            "inputs and targets must be (n, features) and n finite numbers; got "
            f"{x.shape} and {y.shape}"
        )
    mean, scale = float(y.mean()), float(y.std())
    scale = scale if scale > 0 else 1.0
    matrix = _kernel(x, x, length, kernel) + ridge * np.eye(len(x))
    inverse = np.linalg.inv(matrix)
    weights = np.linalg.solve(matrix, (y - mean) / scale)
    return KernelRidge(x, weights, inverse, mean, scale, length, kernel)


def predict_kernel_ridge(
    fit: KernelRidge, inputs: Any
) -> tuple[np.ndarray, np.ndarray]:
    r"""Prediction and its standard deviation.

    .. math:: \sigma(x)^2 = k(x, x) - k(x)^\top (K + \lambda I)^{-1} k(x)

    Args:
      fit: of ``fit_kernel_ridge``.
      inputs: ``(m, features)``.

    Returns:
      Two arrays ``(m,)``: the mean of the Gaussian process with this kernel, and its
      deviation without the noise.

    >>> fit = fit_kernel_ridge([[0.0], [1.0]], [0.0, 2.0], ridge=1e-9)
    >>> far = predict_kernel_ridge(fit, [[99.0]])
    >>> [x.round(6).tolist() for x in far]
    [[1.0], [1.0]]
    """
    x = np.asarray(inputs, float)
    k = _kernel(x, fit.inputs, fit.length, fit.kernel)
    own = np.ones(len(x)) if fit.kernel == "rbf" else np.sum(x * x, axis=1)
    left = own - np.einsum("mn,nk,mk->m", k, fit.inverse, k, optimize=True)
    deviation = fit.scale * np.sqrt(np.maximum(left, 0))
    return fit.mean + fit.scale * (k @ fit.weights), deviation


def leave_one_out_errors(fit: KernelRidge) -> np.ndarray:
    r"""Errors of the forecast of each target from all others.

    .. math:: y_i - \hat y_{-i}(x_i) = w_i \, / \, (K + \lambda I)^{-1}_{ii}

    Args:
      fit: of ``fit_kernel_ridge``; the mean and the scale are those of all targets.

    Returns:
      ``(n,)``, in units of the targets.

    >>> fit = fit_kernel_ridge([[0.0], [9.0]], [0.0, 2.0], ridge=1e-9)
    >>> leave_one_out_errors(fit).round(6).tolist()
    [-1.0, 1.0]
    """
    return fit.scale * fit.weights / np.diagonal(fit.inverse)


def _kernel(a: np.ndarray, b: np.ndarray, length: float, kind: str) -> np.ndarray:
    if kind == "linear":
        return a @ b.T
    squares = np.sum((a[:, None] - b[None]) ** 2, axis=-1)
    return np.exp(-squares / (2 * length * length))
