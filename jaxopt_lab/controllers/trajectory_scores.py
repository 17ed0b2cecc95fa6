"""The checkpoint at which activations on a target part from those on the source."""

from __future__ import annotations

import math
from typing import Annotated, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.options import Interval, check_arguments

Select = Literal["joint", "stepwise"]
Floats = NDArray[np.float64]
THRESHOLD = Interval(0.0, infinite=True)


class StoppingPoint(NamedTuple):
    """A checkpoint, and the trajectories that chose it.

    Attributes:
      checkpoint: its number.
      layer: of the critical trajectories; -1 where validation chose.
      moment: 0 to 3 for :math:`m_1` to :math:`m_4`; -1 where validation chose.
      score: minus their correlation from the checkpoint on, times its points.
    """

    checkpoint: int
    layer: int
    moment: int
    score: float


def validation_limit(accuracies: ArrayLike, *, smooth: int = 3) -> int:
    """Number of checkpoints up to the best validation, that one included.

    Args:
      accuracies: ``(T,)``, of validation on source tasks; larger is better, NaN worst.
      smooth: points of a centred moving mean, odd; shorter at the ends.

    Returns:
      From 1 to T; the first of equal ones.

    Raises:
      InputError: no accuracies, or ``smooth`` is not odd.

    >>> validation_limit([0.1, 0.6, 0.2, 0.5, 0.5, 0.3], smooth=3)
    3
    """
    values = np.asarray(accuracies, np.float64)
    if values.ndim != 1 or not values.size:
        raise InputError(f"accuracies must be (T,), T >= 1; got shape {values.shape}")
    if smooth < 1 or smooth % 2 == 0:
        raise InputError(f"smooth must be an odd number of at least 1; got {smooth}")
    half = smooth // 2
    with np.errstate(all="ignore"):
        means = [
            np.mean(values[max(0, t - half) : t + half + 1]) for t in range(len(values))
        ]
    return int(np.argmax(np.where(np.isnan(means), -np.inf, means))) + 1


def stopping_scores(
    target: ArrayLike, source: ArrayLike, *, limit: int | None = None
) -> Floats:
    r"""Divergence of two trajectories from each checkpoint to the limit.

    .. math:: s_t = -\mathrm{corr}(x_{t:T}, y_{t:T}) \cdot (T - t), \qquad s_{T-1} = 0.

    Args:
      target: ``(moments, T', layers)`` moments over checkpoints.
      source: likewise.
      limit: T, the checkpoints that count; ``None``: all.

    Returns:
      The same shape; minus infinity past the limit, and where a trajectory is constant
      or not finite from there on, so that the correlation is undefined.

    Raises:
      InputError: the shapes differ, or the limit is not in 1 to T'.

    Cost: one pass, from the limit backwards (Welford's recurrence).

    >>> x = np.arange(3.0).reshape(1, 3, 1)
    >>> stopping_scores(-x, x).ravel().round(9).tolist()
    [3.0, 2.0, 0.0]
    """
    x, y = np.asarray(target, np.float64), np.asarray(source, np.float64)
    if x.shape != y.shape or x.ndim != 3 or not x.size:
        raise InputError(
            "target and source must be (moments, checkpoints, layers), both the same; "
            f"got {x.shape} and {y.shape}"
        )
    count = x.shape[1]
    last = count if limit is None else limit
    if not 1 <= last <= count:
        raise InputError(f"limit must lie in 1 to {count}; got {last}")
    x, y = (_scaled(z[:, :last]) for z in (x, y))
    scores = np.full((x.shape[0], count, x.shape[2]), -np.inf)
    scores[:, last - 1] = 0.0
    shape = x[:, 0].shape
    mean_x, mean_y, xx, yy, xy = (np.zeros(shape) for _ in range(5))
    tiny = (8 * np.finfo(np.float64).eps) ** 2
    for n in range(1, last + 1):
        a, b = x[:, last - n], y[:, last - n]
        from_x, from_y = a - mean_x, b - mean_y
        mean_x, mean_y = mean_x + from_x / n, mean_y + from_y / n
        xx = xx + from_x * (a - mean_x)
        yy = yy + from_y * (b - mean_y)
        xy = xy + from_x * (b - mean_y)
        if n == 1:
            continue
        # Numbers of at most 1: below this, a spread is rounding.
        known = (xx > tiny * n) & (yy > tiny * n)
        scale = np.sqrt(np.where(known, xx, 1.0)) * np.sqrt(np.where(known, yy, 1.0))
        correlation = np.clip(xy / scale, -1.0, 1.0)
        scores[:, last - n] = np.where(known, -correlation * n, -np.inf)
    return scores


def critical_checkpoint(
    target: ArrayLike,
    source: ArrayLike,
    *,
    limit: int | None = None,
    select: Select = "joint",
    threshold: Annotated[float, THRESHOLD] = 0.0,
) -> StoppingPoint:
    """The checkpoint to keep for the target.

    Args:
      target: as of ``stopping_scores``.
      source: likewise.
      limit: likewise; usually ``validation_limit`` of the source's accuracies.
      select: ``"joint"``, layer, moment and checkpoint of the highest score; or
        ``"stepwise"``, the layer of the lowest correlation over all checkpoints, mean
        of its moments, then the moment of the lowest correlation in it, then the
        checkpoint of its highest score.
      threshold: the last checkpoint, the best in validation, is left for scores above
        it alone; infinity never leaves it.

    Returns:
      The checkpoint. Of equal scores the first in the order layer, moment, checkpoint.

    Raises:
      InputError: as of ``stopping_scores``, or an option is out of range.

    >>> x = np.array([0.0, 1.0, 2.0, 1.0, 3.0])
    >>> y = np.array([0.0, 1.0, 2.0, 3.0, 1.0])
    >>> critical_checkpoint(x.reshape(1, 5, 1), y.reshape(1, 5, 1)).checkpoint
    2
    """
    check_arguments(critical_checkpoint, {"select": select, "threshold": threshold})
    scores = stopping_scores(target, source, limit=limit)
    count = scores.shape[1] if limit is None else limit
    ordered = np.moveaxis(scores, 1, 2).swapaxes(0, 1)  # layers, moments, checkpoints
    if select == "joint" or count == 1:
        layer, moment, time = np.unravel_index(np.argmax(ordered), ordered.shape)
    else:
        # What has no correlation does not part from the source.
        whole = np.where(np.isfinite(ordered[..., 0]), -ordered[..., 0] / count, 1.0)
        layer = np.argmin(np.mean(whole, axis=1))
        moment = np.argmin(whole[layer])
        time = np.argmax(ordered[layer, moment])
    score = float(ordered[layer, moment, time])
    if not score > threshold or math.isinf(score):
        return StoppingPoint(count - 1, -1, -1, 0.0)
    return StoppingPoint(int(time), int(layer), int(moment), score)


def _scaled(x: Floats) -> Floats:
    """Trajectories of finite numbers of at most 1, or NaN: correlation has no unit."""
    x = np.where(np.isfinite(x), x, np.nan)
    largest = np.max(np.where(np.isnan(x), 0.0, np.abs(x)), axis=1, keepdims=True)
    return x / np.where(largest > 0, largest, 1.0)
