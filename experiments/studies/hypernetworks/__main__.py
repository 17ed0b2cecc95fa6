"""``python -m experiments.studies.hypernetworks [quick|standard] [out=FOLDER]``."""

import sys

from experiments.studies.study import Study

STUDY = Study.of_folder(
    "hypernetworks",
    "Steps to a loss of a hypernetwork of the contrast of digits, with and without "
    "magnitude invariant encoding and additive parameters (MIP); and losses of "
    "perceptrons of unseen widths after a few steps from weights that LoGAH predicts "
    "and from random ones. quick: seconds; standard: ten seeds, five of them for the "
    "choice of learning rates.",
)

if __name__ == "__main__":
    sys.exit(STUDY.main())
