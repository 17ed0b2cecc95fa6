"""``python -m experiments.studies.depth [quick|standard] [out=FOLDER]``."""

import sys

from experiments.studies.study import Study

STUDY = Study.of_folder(
    "depth",
    "Loss of a transformer on a Markov chain with norms before and behind (Mix-LN), "
    "scaled by depth (LayerNorm scaling) and with residual scales; gradients of deep "
    "blocks over those of shallow ones, and the loss that a deep block saves. quick: "
    "less than a minute; standard: six seeds.",
)

if __name__ == "__main__":
    sys.exit(STUDY.main())
