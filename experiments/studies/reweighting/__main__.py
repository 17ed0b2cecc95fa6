"""``python -m experiments.studies.reweighting [quick|standard] [out=FOLDER]``."""

import sys

from experiments.studies.study import Study

STUDY = Study.of_folder(
    "reweighting",
    "Test accuracy on digits with loss-based weights of the examples (linupper, "
    "quadratic, extremes) against uniform ones, where half of the training examples "
    "are copies of a few, and where a part of the labels is wrong. quick: seconds; "
    "standard: ten seeds, a minute.",
)

if __name__ == "__main__":
    sys.exit(STUDY.main())
