"""The norm test of AdAdaGrad: larger batches once noise dominates the gradient."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any

from jaxopt_lab.controllers.controller import Controller, Decision, State, Statistics
from jaxopt_lab.core.errors import InputError
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
    if not micro_batch <= start_batch <= max_batch:
        raise InputError(
            "micro_batch <= start_batch <= max_batch must hold; got "
            f"{micro_batch}, {start_batch}, {max_batch}"
        )
    most = max_batch // micro_batch

    def init() -> State:
        first = min(most, math.ceil(start_batch / micro_batch))
        return {"step": 0, "accumulation": first, "examples": 0}

    def decide(stats: Statistics, state: State) -> tuple[Decision, State]:
        accumulation = state["accumulation"]
        batch = accumulation * micro_batch
        variance, square = _number(stats, "variance"), _number(stats, "grad_norm_sq")
        if state["step"] % interval == 0 and accumulation < most:
            wanted = min(max_batch, max(batch, _wanted(variance, square, eta)))
            accumulation = min(most, math.ceil(math.ceil(wanted) / micro_batch))
        after = {
            "step": state["step"] + 1,
            "accumulation": accumulation,
            "examples": state["examples"] + batch,
        }
        return {"accumulation": accumulation}, after

    return Controller(init, decide)


def _number(stats: Mapping[str, Any], name: str) -> float:
    if name not in stats:
        raise InputError(f"norm_test reads stats[{name!r}]; got {', '.join(stats)}")
    return float(stats[name])


def _wanted(variance: float, square: float, eta: float) -> float:
    """Examples that the test asks for; 0 where the statistics say nothing."""
    if not variance > 0 or math.isinf(eta) or math.isnan(square):
        return 0.0
    bound = eta * eta * square
    if bound <= 0:
        return math.inf
    wanted = variance / bound
    return 0.0 if math.isnan(wanted) else wanted
