"""``python -m experiments.studies.noise [quick|standard] [out=FOLDER]``."""

import sys

from experiments.studies.study import Study

STUDY = Study.of_folder(
    "noise",
    "Test accuracy on digits of a network of twenty layers, trained with and without "
    "annealed noise on the gradients, from weights that are too small, that are zero, "
    "and from He's. quick: seconds; standard: ten seeds, of "
    "which five choose the rates; minutes.",
)

if __name__ == "__main__":
    sys.exit(STUDY.main())
