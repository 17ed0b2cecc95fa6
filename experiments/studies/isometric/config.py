"""The numbers of the study on isometric embeddings."""

from __future__ import annotations

import dataclasses

from experiments.studies.study import QUICK, STANDARD, Settings

PARTS = ("isometric_loss", "gcn_conv")

PAPER = "IGNN, 2020, arXiv:2006.09554, from the abstract"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Settings):
    """One size of the study.

    A tree falls apart without any one of its edges: the features and the loss of a run
    do not know distances between the parts, which the scores ask for all the same.

    Attributes:
      graphs: names of ``measure.GRAPHS``. That of Les Miserables ships in networkx, the
        extra ``graphs``; its weights are left out.
      side: of the grid.
      levels: of the balanced binary tree.
      width: of both layers.
      landmarks: as many features of the random arms.
      pairs: of the isometric loss, drawn once for each run.
      held_out: part of the edges that is kept aside.
      steps: of a run.
      rate: learning rate of Adam.
      weight: of the isometric loss.
    """

    graphs: tuple[str, ...] = ("grid", "tree", "Les Miserables")
    side: int = 12
    levels: int = 7
    width: int = 32
    landmarks: int = 16
    pairs: int = 4096
    held_out: float = 0.1
    steps: int = 400
    rate: float = 1e-2
    weight: float = 1.0


SIZES = {
    QUICK: Config(
        seeds=2,
        graphs=("grid", "tree"),
        side=5,
        levels=4,
        width=8,
        landmarks=4,
        pairs=128,
        steps=40,
    ),
    STANDARD: Config(seeds=6),
}
