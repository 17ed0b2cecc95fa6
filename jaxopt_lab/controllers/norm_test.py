"""The norm test of AdAdaGrad: larger batches once noise dominates the gradient."""

from __future__ import annotations

import math
from typing import Annotated

from jaxopt_lab.controllers.batch_growth import examples_for, growing_batch, statistic
from jaxopt_lab.controllers.controller import Controller, Statistics
from jaxopt_lab.core.options import COUNT, POSITIVE_OR_INFINITE, STATIC, check_arguments


def norm_test(
    eta: Annotated[float, POSITIVE_OR_INFINITE, STATIC] = 0.1,
    *,
    micro_batch: Annotated[int, COUNT] = 1,
    start_batch: Annotated[int, COUNT] = 8,
    max_batch: Annotated[int, COUNT] = 1024,
    interval: Annotated[int, COUNT] = 1,
) -> Controller:
    r"""Grow the batch until its gradient passes the norm test.

    With the variance of a single example's gradient, all entries added,

    .. math::
        b' = \frac{|\mathrm{var}|_1}{\eta^2 |\bar g|^2}, \quad
        b_{t+1} = \lceil \min(b_{\max}, \max(b_t, b')) \rceil,

    so that the batch never shrinks. The statistics are those of the step's batch
    before the update. The batch is a number of micro-batches of one fixed shape: a
    batch size that moved by single examples would compile the step again each time.

    Args:
      eta: the largest standard error of the mean gradient that is accepted, relative
        to its norm; above 0. ``math.inf`` never grows the batch.
      micro_batch: examples of one accumulation step, all devices together.
      start_batch: examples of the first batch; at least one micro-batch.
      max_batch: examples that no batch exceeds, at least ``start_batch``.
      interval: steps between two tests.

    Returns:
      A controller. It reads ``stats["variance"]`` and ``stats["grad_norm_sq"]``
      (``gradient_variance``); a variance that is 0 or NaN changes nothing, a gradient
      of 0 beside a variance asks for ``max_batch``. The decision is
      ``{"accumulation": a}``, micro-batches a step. Its state counts ``step``,
      ``accumulation`` and ``examples``, the examples seen so far, by which a schedule
      of the learning rate is better indexed than by steps.

    Raises:
      InputError: an argument is out of range; at the call, a statistic is missing.

    Cost: none on the device beyond the two scalars. 3 numbers of state.

    Deviations: the published code changes the shape of the micro-batch too
    (``plan_batch``) and may exceed ``max_batch`` by a part of one.

    >>> control = norm_test(0.5, micro_batch=8)
    >>> state = control.init()
    >>> stats = {"variance": 12.0, "grad_norm_sq": 2.0}  # asks for 24 examples
    >>> decision, state = control.decide(stats, state)
    >>> decision, state["examples"]
    ({'accumulation': 3}, 8)

    Source: Lau, Liu and Kolar, "AdAdaGrad: Adaptive Batch Size Schemes for
    Adaptive Gradient Methods", arXiv:2402.11215. Code followed: timlautk/AdAdaGrad.
    """
    check_arguments(norm_test, locals())

    def wanted(stats: Statistics) -> float:
        variance = statistic("norm_test", stats, "variance")
        square = statistic("norm_test", stats, "grad_norm_sq")
        if math.isinf(eta):
            return 0.0
        return examples_for(variance, eta * eta * square)

    return growing_batch(
        wanted,
        micro_batch=micro_batch,
        start_batch=start_batch,
        max_batch=max_batch,
        interval=interval,
    )
