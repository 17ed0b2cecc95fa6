"""``python -m experiments.studies.adapters [quick|standard] [out=FOLDER]``."""

import sys

from experiments.studies.study import Study

STUDY = Study.of_folder(
    "adapters",
    "Accuracy on turned digits of a perceptron that was trained on upright ones and "
    "stays as it is but for adapters: on random features (SNNK), dense ones, or a new "
    "last layer, at equal numbers of parameters; and of a wholly bundled net in closed "
    "form on upright digits. quick: seconds; standard: twelve seeds, six of them for "
    "the choice of learning rates.",
)

if __name__ == "__main__":
    sys.exit(STUDY.main())
