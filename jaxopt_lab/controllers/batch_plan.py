"""A batch size as micro-batches, accumulation steps and devices."""

from __future__ import annotations

from typing import NamedTuple

from jaxopt_lab.core.checks import check_positive_count


class BatchPlan(NamedTuple):
    """Division of a batch over devices and accumulation steps.

    Attributes:
      batch: examples in all, at most ``micro_batch * accumulation * devices``.
      micro_batch: examples of one device and accumulation step.
      accumulation: accumulation steps.
    """

    batch: int
    micro_batch: int
    accumulation: int


def plan_batch(
    requested: int,
    accumulation: int = 1,
    *,
    devices: int = 1,
    max_micro_batch: int,
    max_batch: int,
) -> BatchPlan:
    r"""The published code's way to reach a batch size.

    With W devices and the present number a of accumulation steps,

    .. math::
        m = \lceil b / W a \rceil, \quad
        a' = \lceil b / W m \rceil, \quad b' = \min(b_{\max}, m W a'),

    and where m exceeds the largest micro-batch, m is set to that and
    :math:`a'' = \lceil b' / W m \rceil`, :math:`b'' = m W a''`.

    Args:
      requested: b, examples wanted.
      accumulation: a.
      devices: W.
      max_micro_batch: the most that a device can hold at a time.
      max_batch: :math:`b_{\max}`, to which the request is cut too.

    Returns:
      The plan; its batch may exceed the request, and ``max_batch`` by a part of one
      accumulation step. As long as m moves, every new m is a
      new shape and compiles the step again, which ``norm_test`` avoids.

    Raises:
      InputError: an argument is no whole number of at least 1.

    >>> plan_batch(420, devices=4, max_micro_batch=100, max_batch=50_000)
    BatchPlan(batch=800, micro_batch=100, accumulation=2)
    """
    check_positive_count("requested", requested)
    check_positive_count("accumulation", accumulation)
    check_positive_count("devices", devices)
    check_positive_count("max_micro_batch", max_micro_batch)
    check_positive_count("max_batch", max_batch)
    requested = min(requested, max_batch)
    micro = -(-requested // (devices * accumulation))
    steps = -(-requested // (devices * micro))
    batch = min(max_batch, micro * devices * steps)
    if micro > max_micro_batch:
        micro = max_micro_batch
        steps = -(-batch // (devices * micro))
        batch = micro * devices * steps
    return BatchPlan(batch, micro, steps)
