"""``python -m experiments.studies.merging [quick|standard] [out=FOLDER]``."""

import sys

from experiments.studies.study import Study

STUDY = Study.of_folder(
    "merging",
    "Accuracy on upright and turned digits together of a perceptron and of its "
    "fine-tuned ones, merged: uniform soups, T3 with a coefficient of each batch and "
    "of each example, also centred, and CoDiEmb's fusion by the sizes of changes. "
    "quick: seconds; standard: eight seeds.",
)

if __name__ == "__main__":
    sys.exit(STUDY.main())
