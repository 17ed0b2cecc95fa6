"""The numbers of the application on batch effects."""

from __future__ import annotations

import dataclasses

from experiments.applications.application import Settings

ARMS = ("AE", "FE", "RE")
LATENTS = (*ARMS, "FE + RE")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Settings):
    """One size of the application.

    Attributes:
      steps: of Adam, for each network.
      batches: batches of cells, each with a gain and a shift of every feature.
      features: principal components of the digits, the genes of a cell.
      gain: deviation of the logarithm of the gains.
      shift: deviation of the shifts, of features of mean variance 1.
      shares: concentration of the shares of the classes in a batch.
      hidden: units of the hidden layers.
      latent: numbers of a latent.
      size: cells of a step.
      rate: the highest rate of Adam.
      adversary: weight of the reversed gradient of the adversary, of FE.
      labelled: weight of the cross-entropy of the batch from the latent, of RE.
      divergence: weight of the divergence of the random effects.
      neighbours: of the classifier of latents.
      arms: networks that are trained, RE among them.
    """

    steps: int = 1500
    batches: int = 16
    features: int = 32
    gain: float = 0.3
    shift: float = 0.5
    shares: float = 1.0
    hidden: int = 64
    latent: int = 4
    size: int = 256
    rate: float = 3e-3
    adversary: float = 0.1
    labelled: float = 0.1
    divergence: float = 1e-4
    neighbours: int = 5
    arms: tuple[str, ...] = ARMS
