"""The numbers of the study on small batches."""

from __future__ import annotations

import dataclasses

from experiments.studies.study import QUICK, STANDARD, Settings

PARTS = ("batch_channel_norm", "ws_conv", "evonorm_b0", "evonorm_s0", "group_norm")

EVONORM = "Liu et al. 2020, arXiv:2004.02967"
BCN = "Qiao et al. 2019, arXiv:1903.10520"
GROUPS = "Wu and He 2018, arXiv:1803.08494"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Settings):
    """One size of the study; digits, smaller than the papers' networks and sets.

    Every arm chooses its learning rate at every batch on the first half of the seeds;
    verdicts are over the second half.

    Attributes:
      channels: of both convolutions.
      groups: of the channels.
      arms: of ``measure.ARMS``.
      batches: examples of a step.
      seen: examples that every run sees.
      estimated: batches up to this size have batch-channel normalization by running
        statistics.
      rates: learning rates of momentum 0.9 at a batch of 8; proportional to the batch.
    """

    channels: int = 8
    groups: int = 2
    arms: tuple[str, ...] = ("BN", "GN", "WS + BCN", "EvoNorm-B0", "EvoNorm-S0")
    batches: tuple[int, ...] = (2, 8, 64)
    seen: int = 2560
    estimated: int = 8
    rates: tuple[float, ...] = (0.003, 0.01, 0.03)


SIZES = {
    QUICK: Config(
        seeds=2,
        channels=2,
        arms=("BN", "WS + BCN"),
        batches=(8,),
        seen=32,
        rates=(0.01,),
    ),
    STANDARD: Config(seeds=12),
}
