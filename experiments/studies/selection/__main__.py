"""``python -m experiments.studies.selection [quick|standard] [out=FOLDER]``."""

import sys

from experiments.studies.study import Study

STUDY = Study.of_folder(
    "selection",
    "Rank correlation, over networks of nine source tasks, of scores of their "
    "features (PARC and others) with the accuracy on the digits 0 to 4 after "
    "fine-tuning on few labels. quick: seconds; standard: twelve seeds, less than "
    "two minutes.",
)

if __name__ == "__main__":
    sys.exit(STUDY.main())
