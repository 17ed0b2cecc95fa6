"""The numbers of the study on distilled hypergraphs."""

from __future__ import annotations

import dataclasses

from experiments.studies.study import QUICK, STANDARD, Settings

PARTS = ("hypergraph_conv",)

PAPER = "Feng et al., LightHGNN, ICLR 2024"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Settings):
    """One size of the study, smaller than the paper's for the processor time.

    All networks are taken after the last step: there is no validation set.

    Attributes:
      nodes: digits, other ones for each seed.
      neighbours: nodes of a hyperedge, beside its own.
      labels: known ones of each class.
      hidden: units of the hypergraph network.
      student: units of the perceptrons.
      steps: of each network, on all nodes.
      rate: of Adam.
      decay: of the weights, decoupled.
      noise: level of the reliability's noise.
    """

    nodes: int = 600
    neighbours: int = 8
    labels: int = 10
    hidden: int = 32
    student: int = 64
    steps: int = 150
    rate: float = 0.01
    decay: float = 5e-4
    noise: float = 1.0


SIZES = {
    QUICK: Config(
        seeds=2, nodes=60, neighbours=3, labels=1, hidden=4, student=4, steps=5
    ),
    STANDARD: Config(seeds=6),
}
