"""The numbers of the study on calibration without data."""

from __future__ import annotations

import dataclasses

from experiments.studies.study import QUICK, STANDARD, Settings

PARTS = ("genie",)

ZEROQ = "Cai et al. 2020, arXiv:2001.00281"
GENIE = "Jeon et al. 2023, arXiv:2212.04780"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Settings):
    """One size of the study, smaller than the papers' for the processor time.

    Four convolutions, each with a batch normalization, the second and the last with
    stride 2, and a dense layer; the first convolution and the dense layer have 8 bits.
    Rounding is learned by ``quantize.genie`` on gram matrices, layer after layer, not
    block by block. Without inputs, weights are rounded to the nearest and the range of
    an activation is the offset of its normalization and three of its scales. Bits of
    layers are allocated at a mean of ``mean_bits``, at 4 of which, the specification's,
    rounding to the nearest loses next to nothing here; chosen before the run. A first
    run, on the seeds 0 to 5, decided none of the same claims; the standard one has
    twice as many seeds, all of them others.

    Attributes:
      channels: of the convolutions.
      batch: examples of a step of the training.
      steps: of the training.
      rate: of Adam.
      examples: of each calibration set.
      distilling: steps of ZeroQ and of Genie's generator.
      latent: numbers of a latent vector.
      width: of the generator.
      bits: of a weight.
      activations: bits of the inputs of the second convolution to the last.
      learned: steps of the rounding.
      choices: bits of a layer with an allocation.
      mean_bits: of it, and the bits of all layers beside it.
    """

    channels: tuple[int, ...] = (8, 16, 16, 32)
    batch: int = 64
    steps: int = 300
    rate: float = 3e-3
    examples: int = 64
    distilling: int = 300
    latent: int = 64
    width: int = 32
    bits: tuple[int, ...] = (3, 2)
    activations: int = 4
    learned: int = 300
    choices: tuple[int, ...] = (2, 3, 4, 8)
    mean_bits: int = 3


SIZES = {
    QUICK: Config(
        seeds=2,
        channels=(2, 3, 2, 4),
        batch=8,
        steps=5,
        examples=4,
        distilling=3,
        latent=4,
        width=4,
        bits=(2,),
        learned=3,
    ),
    STANDARD: Config(seeds=12, first_seed=6),
}
