"""A batch in proportion to the gradient noise scale."""

from __future__ import annotations

import math
from typing import Annotated

from jaxopt_lab.controllers.batch_growth import check_sizes, statistic
from jaxopt_lab.controllers.controller import Controller, Decision, State, Statistics
from jaxopt_lab.core.options import COUNT, DECAY, NON_NEGATIVE, STATIC, check_arguments


def noise_scale_batch(
    factor: Annotated[float, NON_NEGATIVE, STATIC] = 1.0,
    *,
    decay: Annotated[float, DECAY, STATIC] = 0.9,
    micro_batch: Annotated[int, COUNT] = 1,
    start_batch: Annotated[int, COUNT] = 8,
    max_batch: Annotated[int, COUNT] = 1024,
) -> Controller:
    r"""A batch that follows the simple noise scale, up and down.

    With running means of the variance of a single example's gradient and of an unbiased
    estimate of the squared norm of the true one,

    .. math::
        S \gets \beta S + (1 - \beta) |\mathrm{var}|_1, \quad
        G \gets \beta G + (1 - \beta)
            \left(|\bar g|^2 - |\mathrm{var}|_1 / b\right), \quad
        b' = c \, S / G,

    cut to between ``start_batch`` and ``max_batch``; where G is not above 0 the noise
    drowns the gradient and the largest batch is asked for.

    Args:
      factor: c; at 0 the batch stays at ``start_batch``.
      decay: :math:`\beta`, in [0, 1); the means are corrected for their start at 0.
      micro_batch: examples of one accumulation step, all devices together.
      start_batch: examples of the first and smallest batch; at least one micro-batch.
      max_batch: examples that no batch exceeds, at least ``start_batch``.

    Returns:
      A controller. It reads ``stats["variance"]`` and ``stats["grad_norm_sq"]``
      (``gradient_variance``, or from accumulation micro-gradients
      ``projected_variances``); a statistic that is not finite changes nothing. The
      decision is ``{"accumulation": a}``; its state has the two means, their
      ``weight``, ``accumulation`` and ``examples``.

    Raises:
      InputError: an argument is out of range; at the call, a statistic is missing.

    Cost: none on the device beyond the two scalars. 5 numbers of state.

    Deviations: the published scale is measured, not used as a rule in training; the
    rule is ours.

    >>> control = noise_scale_batch(micro_batch=4)
    >>> stats = {"variance": 16.0, "grad_norm_sq": 3.0}  # 16 / (3 - 16 / 8)
    >>> control.decide(stats, control.init())[0]
    {'accumulation': 4}

    Source: McCandlish, Kaplan, Amodei et al., "An Empirical Model of Large-Batch
    Training", arXiv:1812.06162.
    """
    check_arguments(noise_scale_batch, locals())
    check_sizes(micro_batch, start_batch, max_batch)
    most = max_batch // micro_batch
    least = min(most, math.ceil(start_batch / micro_batch))

    def init() -> State:
        means = {"noise": 0.0, "signal": 0.0, "weight": 0.0}
        return {**means, "accumulation": least, "examples": 0}

    def decide(stats: Statistics, state: State) -> tuple[Decision, State]:
        variance = statistic("noise_scale_batch", stats, "variance")
        square = statistic("noise_scale_batch", stats, "grad_norm_sq")
        batch = state["accumulation"] * micro_batch
        noise, signal = state["noise"], state["signal"]
        weight, accumulation = state["weight"], state["accumulation"]
        if math.isfinite(variance) and math.isfinite(square):
            mean = lambda old, new: decay * old + (1 - decay) * new
            noise = mean(noise, variance)
            signal = mean(signal, square - variance / batch)
            weight = mean(weight, 1.0)
            accumulation = _accumulation(factor, noise, signal)
        after = {
            "noise": noise,
            "signal": signal,
            "weight": weight,
            "accumulation": accumulation,
            "examples": state["examples"] + batch,
        }
        return {"accumulation": accumulation}, after

    def _accumulation(factor: float, noise: float, signal: float) -> int:
        if factor == 0 or not noise > 0:
            return least
        # Both means have the same weight: it cancels.
        wanted = factor * noise / signal if signal > 0 else math.inf
        # In this order: no infinity and no NaN is rounded.
        size = min(float(max_batch), wanted) if wanted == wanted else float(max_batch)
        return max(least, min(most, math.ceil(math.ceil(size) / micro_batch)))

    return Controller(init, decide)
