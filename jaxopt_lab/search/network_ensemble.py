"""Small networks whose disagreement is the uncertainty of a forecast."""

from __future__ import annotations

from typing import Annotated, Any, NamedTuple

import numpy as np

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.options import COUNT, NON_NEGATIVE, POSITIVE, check_arguments

_B1, _B2, _EPS = 0.9, 0.999, 1e-8


class NetworkEnsemble(NamedTuple):
    """Fitted networks of one hidden layer, ``members`` first in every array.

    Attributes:
      kernel: ``(members, features, hidden)``.
      bias: ``(members, hidden)``.
      head: ``(members, hidden)``.
      offset: ``(members,)``.
      mean: of the targets.
      scale: their deviation, 1 if they are equal.
    """

    kernel: np.ndarray
    bias: np.ndarray
    head: np.ndarray
    offset: np.ndarray
    mean: float
    scale: float


def fit_network_ensemble(
    inputs: Any,
    targets: Any,
    rng: np.random.Generator,
    *,
    members: Annotated[int, COUNT] = 8,
    hidden: Annotated[int, COUNT] = 16,
    steps: Annotated[int, COUNT] = 200,
    learning_rate: Annotated[float, POSITIVE] = 0.03,
    decay: Annotated[float, NON_NEGATIVE] = 1e-3,
) -> NetworkEnsemble:
    r"""Networks from different starts, each on a sample of the targets.

    .. math:: \hat y_m(x) = a_m^\top \tanh(W_m^\top x + b_m) + c_m

    Member m minimizes :math:`\frac1n \sum_i w_{mi} (\hat y_m(x_i) - y_i)^2 + \lambda
    (|W_m|^2 + |a_m|^2)` by Adam on all targets, centred and scaled to deviation 1;
    :math:`w_{mi}` is how often target i is in its bootstrap sample.

    Args:
      inputs: ``(n, features)``.
      targets: ``(n,)`` finite.
      rng: of the starts and the samples.
      members: networks.
      hidden: units of each.
      steps: of Adam.
      learning_rate: of Adam.
      decay: :math:`\lambda`.

    Returns:
      The fit, by NumPy on the host: O(steps n members features hidden) time, nothing
      is compiled.

    Raises:
      InputError: sizes do not fit, there is nothing, a target is not finite, or an
        option is out of range.

    Source: Lakshminarayanan et al., "Simple and Scalable Predictive Uncertainty
    Estimation using Deep Ensembles", 2017 (https://arxiv.org/abs/1612.01474); its
    networks also forecast a variance, and see all targets. The sizes are ours.

    >>> x = np.linspace(-1, 1, 9)[:, None]
    >>> fit = fit_network_ensemble(x, x[:, 0] ** 2, np.random.default_rng(0))
    >>> mean, deviation = predict_network_ensemble(fit, [[0.0], [5.0]])
    >>> bool(abs(mean[0]) < 0.2), bool(deviation[1] > deviation[0])
    (True, True)
    """
    options = {"members": members, "hidden": hidden, "steps": steps}
    options |= {"learning_rate": learning_rate, "decay": decay}  # type: ignore[dict-item]
    check_arguments(fit_network_ensemble, options)
    x, y = np.asarray(inputs, float), np.asarray(targets, float)
    if x.ndim != 2 or y.shape != x.shape[:1] or not len(y) or not np.isfinite(y).all():
        raise InputError(
            "inputs and targets must be (n, features) and n finite numbers; got "
            f"{x.shape} and {y.shape}"
        )
    count, features = x.shape
    mean, scale = float(y.mean()), float(y.std())
    scale = scale if scale > 0 else 1.0
    normal = rng.standard_normal
    weights = [
        normal((members, features, hidden)) / max(features, 1) ** 0.5,
        normal((members, hidden)),
        normal((members, hidden)) / hidden**0.5,
        np.zeros(members),
    ]
    drawn = rng.integers(0, count, (members, count))
    often = np.stack([np.bincount(row, minlength=count) for row in drawn])
    first, second = ([np.zeros_like(w) for w in weights] for _ in range(2))
    for step in range(1, steps + 1):
        _, slopes = _objective(weights, x, (y - mean) / scale, often, decay)
        for w, g, m, v in zip(weights, slopes, first, second, strict=True):
            m += (1 - _B1) * (g - m)
            v += (1 - _B2) * (g * g - v)
            size = np.sqrt(v / (1 - _B2**step)) + _EPS
            w -= learning_rate * m / (1 - _B1**step) / size
    kernel, bias, head, offset = weights
    return NetworkEnsemble(kernel, bias, head, offset, mean, scale)


def predict_network_ensemble(
    fit: NetworkEnsemble, inputs: Any
) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of the forecasts of all networks.

    Args:
      fit: of ``fit_network_ensemble``.
      inputs: ``(m, features)``.

    Returns:
      Two arrays ``(m,)``; of one network the deviation is 0.

    >>> x = np.zeros((3, 1))
    >>> fit = fit_network_ensemble(x, [2.0, 2.0, 2.0], np.random.default_rng(0))
    >>> bool(abs(predict_network_ensemble(fit, x)[0][0] - 2) < 0.05)
    True
    """
    _, outputs = _forward(list(fit[:4]), np.asarray(inputs, float))
    return fit.mean + fit.scale * outputs.mean(0), fit.scale * outputs.std(0)


def _forward(weights: list[np.ndarray], x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Hidden values ``(members, n, hidden)`` and outputs ``(members, n)``."""
    kernel, bias, head, offset = weights
    inside = np.tanh(x @ kernel + bias[:, None])
    return inside, np.einsum("mnh,mh->mn", inside, head) + offset[:, None]


def _objective(
    weights: list[np.ndarray],
    x: np.ndarray,
    y: np.ndarray,
    often: np.ndarray,
    decay: float,
) -> tuple[float, list[np.ndarray]]:
    """The sum of what the members minimize, and its derivatives."""
    kernel, _, head, _ = weights
    inside, outputs = _forward(weights, x)
    gap = outputs - y
    penalty = decay * (np.sum(kernel**2) + np.sum(head**2))
    value = float(np.sum(often * gap**2) / len(y) + penalty)
    out = 2 * often * gap / len(y)
    back = out[..., None] * head[:, None] * (1 - inside**2)
    slopes = [
        x.T @ back + 2 * decay * kernel,
        back.sum(1),
        np.einsum("mn,mnh->mh", out, inside) + 2 * decay * head,
        out.sum(1),
    ]
    return value, slopes
