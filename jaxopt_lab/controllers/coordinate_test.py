"""The coordinate test of AdAdaGrad: every entry of the gradient by itself."""

from __future__ import annotations

import math
from typing import Annotated

from jaxopt_lab.controllers.batch_growth import growing_batch, statistic
from jaxopt_lab.controllers.controller import Controller, Statistics
from jaxopt_lab.core.options import COUNT, POSITIVE_OR_INFINITE, STATIC, check_arguments


def coordinate_test(
    eta: Annotated[float, POSITIVE_OR_INFINITE, STATIC] = 1.0,
    *,
    micro_batch: Annotated[int, COUNT] = 1,
    start_batch: Annotated[int, COUNT] = 8,
    max_batch: Annotated[int, COUNT] = 1024,
    interval: Annotated[int, COUNT] = 1,
) -> Controller:
    r"""Grow the batch until the noisiest entry of its gradient passes.

    .. math:: b' = \max_j \frac{\mathrm{Var}_i \, g_{ij}}{\eta^2 \bar g_j^2},

    with the batch as in ``norm_test``. One entry whose mean is near 0 asks for the
    largest batch: few settings give a gradual growth.

    Args:
      eta: the accepted standard error of an entry, relative to its mean; above 0.
        ``math.inf`` never grows the batch.
      micro_batch: examples of one accumulation step, all devices together.
      start_batch: examples of the first batch; at least one micro-batch.
      max_batch: examples that no batch exceeds, at least ``start_batch``.
      interval: steps between two tests.

    Returns:
      A controller as ``norm_test``. It reads ``coordinate_ratio`` (the function of
      this name), in which 0/0 counts as 0.

    Raises:
      InputError: an argument is out of range; at the call, the statistic is missing.

    Cost: none on the device beyond one scalar. 3 numbers of state.

    Deviations: the published rule from memory; the released code runs the norm test
    everywhere.

    >>> control = coordinate_test(0.5)
    >>> control.decide({"coordinate_ratio": 5.0}, control.init())[0]
    {'accumulation': 20}

    Source: Lau, Liu and Kolar, "AdAdaGrad: Adaptive Batch Size Schemes for Adaptive
    Gradient Methods", arXiv:2402.11215.
    """
    check_arguments(coordinate_test, locals())

    def wanted(stats: Statistics) -> float:
        ratio = statistic("coordinate_test", stats, "coordinate_ratio")
        if math.isinf(eta) or not ratio > 0:
            return 0.0
        return ratio / (eta * eta) if eta * eta > 0 else math.inf

    return growing_batch(
        wanted,
        micro_batch=micro_batch,
        start_batch=start_batch,
        max_batch=max_batch,
        interval=interval,
    )
