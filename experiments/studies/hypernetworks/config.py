"""The numbers of the study on hypernetworks."""

from __future__ import annotations

import dataclasses

from experiments.studies.study import QUICK, STANDARD, Settings

PARTS = ("hypernetwork", "low_rank_decoder")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Settings):
    """One size of the study.

    Smaller than the specification's hypernetworks, targets and grids, for the processor
    time; LoGAH predicts perceptrons of one hidden layer alone, and is not compared with
    a decoder that copies chunks. The trainings are too short to decide which encoding
    is faster, and the best rate of momentum without one is the edge of the grid.

    Attributes:
      target: hidden units of the perceptron that a contrast decides.
      hidden: of its hypernetwork.
      contrasts: in a step, each with ``batch`` images.
      batch: see ``contrasts``; images of a step of the others.
      steps: of the hypernetwork of contrasts.
      sgd_rates: learning rates of momentum 0.9.
      adam_rates: likewise, of Adam.
      reached: loss that is to be reached.
      window: steps over which losses are averaged.
      widths: of the perceptrons on which LoGAH is trained.
      unseen: of those that it is tested on.
      meta_steps: of LoGAH, each of all widths.
      meta_rate: learning rate of Adam.
      later: steps of SGD behind the initial weights.
      rates: their learning rates.
    """

    target: int = 16
    hidden: tuple[int, ...] = (8, 16, 32)
    contrasts: int = 4
    batch: int = 16
    steps: int = 200
    sgd_rates: tuple[float, ...] = (0.003, 0.01, 0.03)
    adam_rates: tuple[float, ...] = (0.001, 0.003, 0.01)
    reached: float = 1.0
    window: int = 20
    widths: tuple[int, ...] = (16, 24, 32)
    unseen: tuple[int, ...] = (20, 40)
    meta_steps: int = 200
    meta_rate: float = 1e-3
    later: int = 50
    rates: tuple[float, ...] = (0.03, 0.1, 0.3)


SIZES = {
    QUICK: Config(
        seeds=2,
        target=4,
        hidden=(4,),
        steps=4,
        batch=4,
        window=2,
        widths=(4,),
        unseen=(6,),
        meta_steps=2,
        later=2,
        rates=(0.1,),
        sgd_rates=(0.01,),
        adam_rates=(0.003,),
    ),
    STANDARD: Config(seeds=10),
}
