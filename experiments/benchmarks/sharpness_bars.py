"""Upper bounds on the figures of the sharpness-aware steps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from experiments.benchmarks.paired import Ratio

PLAIN, BY_HAND, OPTAX = "plain", "by hand", "optax.contrib.sam"
MSAM = "msam num_shards=8"
MSAM_BY_HAND = "msam by hand"
CONVNET = "convnet, "
ON_CONVNET = ("sam", MSAM, "lookbehind k=5", "momentum_sam", "stale_sam")
LARGER_BATCHES = (512, 1024)


class Bar(NamedTuple):
    """Upper bound on a figure.

    Attributes:
      method: label of the measured step.
      against: label of the step it is compared with.
      flops: largest ratio of flops, or ``None``.
      time: largest ratio of times, or ``None``; met if the median is below it.
    """

    method: str
    against: str
    flops: float | None = None
    time: float | None = None


BARS = (
    Bar("sam", PLAIN, flops=2.02),
    Bar("sam", BY_HAND, flops=1.01, time=1.05),
    Bar("sam", OPTAX, flops=1.01),
    Bar(MSAM, PLAIN, flops=2.05),
    Bar(MSAM, "sam", time=1.05),
    Bar(MSAM, MSAM_BY_HAND, flops=1.01, time=1.05),
    Bar("lookbehind k=5", PLAIN, flops=6.1, time=6.3),
    Bar("momentum_sam", PLAIN, flops=1.1, time=1.1),
    Bar("stale_sam", PLAIN, flops=1.1, time=1.1),
)
CONVNET_BARS = tuple(
    bar._replace(method=CONVNET + bar.method, against=CONVNET + bar.against)
    for bar in BARS
    if bar.method in ON_CONVNET and bar.against in (PLAIN, "sam")
)


def at_batch(size: int) -> str:
    """Beginning of the labels of steps on a larger batch.

    Args:
      size: examples in the batch.

    Returns:
      The text.
    """
    return f"batch {size}, "


LARGER_BARS = tuple(
    Bar(at_batch(size) + MSAM, at_batch(size) + other, time=1.05)
    for size in LARGER_BATCHES
    for other in ("sam", MSAM_BY_HAND)
)
ALL_BARS = (*BARS, *CONVNET_BARS, *LARGER_BARS)


def plain_of(label: str) -> str:
    """Label of the plain step on the same problem.

    Args:
      label: label of a step.

    Returns:
      The label.
    """
    problem, comma, _ = label.rpartition(", ")
    return problem + comma + PLAIN


def flops_over_bars(found: Mapping[str, Mapping[str, float]]) -> list[str]:
    """The bars on flops that are not met.

    Args:
      found: ``"flops"`` by label; bars on other labels are left out.

    Returns:
      A line for each.
    """
    lines = []
    for bar in ALL_BARS:
        if bar.flops is None or not {bar.method, bar.against} <= found.keys():
            continue
        measured = found[bar.method]["flops"] / found[bar.against]["flops"]
        if measured > bar.flops:
            lines.append(
                f"flops, {bar.method} over {bar.against}: {measured:.4f} > {bar.flops}"
            )
    return lines


def times_at_bars(measured: Mapping[tuple[str, str], Ratio]) -> dict[str, str]:
    """Every bar on a time, and whether it is met.

    Args:
      measured: ratios by the labels of the two.

    Returns:
      A text by label.
    """
    found = {}
    for bar in ALL_BARS:
        if bar.time is None:
            continue
        value = measured[bar.method, bar.against]
        met = "met" if value.median <= bar.time else "NOT MET"
        if value.low <= bar.time < value.median:
            met = "within the quartiles"
        label = f"bar, time of {bar.method} over {bar.against}"
        found[label] = f"{met}: {value} against {bar.time}"
    return found
