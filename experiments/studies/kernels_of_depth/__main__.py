"""``python -m experiments.studies.kernels_of_depth [quick|standard] [out=FOLDER]``."""

import sys

from experiments.studies.study import Study

STUDY = Study.of_folder(
    "kernels_of_depth",
    "Tangent kernels of random networks against the closed form of infinite width; "
    "classifiers by kernels of many layers against the nearest neighbour, the vote of "
    "all and the singular vote that they become; and these on digits with wrong labels "
    "and on a law with a known Bayes error. quick: seconds; standard: eight seeds.",
)

if __name__ == "__main__":
    sys.exit(STUDY.main())
