"""The numbers of the study on adapters."""

from __future__ import annotations

import dataclasses

from experiments.studies.study import QUICK, STANDARD, Settings

PARTS = ("kernel_adapter", "kernel_feed_forward")
PAPER = "Sehanobish et al. 2023, arXiv:2310.13225"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Settings):
    """One size of the study.

    Smaller than the specification's perceptron of two layers of 256, for the processor
    time.

    Attributes:
      width: units of both hidden layers.
      steps: of Adam, for the perceptron and again for every adapter.
      batch: images of a step.
      rate: learning rate of the perceptron.
      rates: those of the adapters; each has its best on the first half of the seeds.
      narrow: bottleneck of the dense adapters that have as many parameters as a probe.
      wide: bottleneck of those with about five times as many.
      bottlenecks: of the adapters on features; the features are as many as fit.
      features: of each layer of the bundled net.
      ridges: of the bundled net; its best on the first half of the seeds.
    """

    width: int = 64
    steps: int = 400
    batch: int = 64
    rate: float = 3e-3
    rates: tuple[float, ...] = (1e-3, 3e-3, 1e-2)
    narrow: int = 2
    wide: int = 12
    bottlenecks: tuple[int, ...] = (2, 3)
    features: int = 512
    ridges: tuple[float, ...] = (1e-6, 1e-5)


SIZES = {
    QUICK: Config(seeds=2, width=16, steps=30, rates=(3e-3,), features=32, wide=4),
    STANDARD: Config(seeds=12),
}
