"""The numbers of the study on quantized training."""

from __future__ import annotations

import dataclasses

from experiments.studies.study import QUICK, STANDARD, Settings

PARTS = ("nearest_linear", "quantize_updates")

PAPER = "Chitsaz et al. 2024, arXiv:2407.11722"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Settings):
    """One size of the study, far smaller than the paper's GPT-2 for the processor time.

    As in the paper, the linear layers alone are rounded, not the embedding, which is
    the head as well, nor the products of attention; AdamW with decay 0.1, clipping to
    norm 1, and a rate that rises linearly and falls by a cosine, the same for all arms.
    A run of which no finite loss is left counts as one that has made no progress.

    Attributes:
      arms: of ``measure.ARMS``; the first is without rounding.
      sources: modules of the standard library, or parts of the given text.
      characters: of each; the last fifth is held out.
      context: characters of a window.
      width: of the residual stream.
      depth: layers.
      heads: of attention.
      batch: windows of a step.
      steps: of the training, a tenth of them with a rising rate.
      rate: the highest.
      held: held-out windows.
      stalled: share of the float run's progress below which a run has stalled or
        diverged.
    """

    arms: tuple[str, ...] = (
        "float",
        "w8a8",
        "w8",
        "w4, by outputs",
        "w4, by tensors",
        "a4, by tokens",
        "g8, by tokens",
        "g4, by tokens",
        "kernels' gradients, 4 bits",
        "m8, linear",
        "m4, linear",
        "v8, linear",
        "v8, dynamic",
    )
    sources: int = 20
    characters: int = 40_000
    context: int = 32
    width: int = 32
    depth: int = 2
    heads: int = 2
    batch: int = 16
    steps: int = 600
    rate: float = 3e-3
    held: int = 256
    stalled: float = 0.5


SIZES = {
    QUICK: Config(
        seeds=2,
        arms=("float", "w8a8", "w4, by tensors", "v8, linear"),
        sources=2,
        characters=2000,
        context=8,
        width=8,
        depth=1,
        batch=2,
        steps=5,
        held=4,
    ),
    STANDARD: Config(seeds=6),
}
