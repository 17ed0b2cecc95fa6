"""``python -m experiments.studies.post_training [quick|standard] [out=FOLDER]``."""

import sys

from experiments.studies.study import Study

STUDY = Study.of_folder(
    "post_training",
    "A perceptron on digits whose hidden layers are quantized after the training to "
    "8, 4, 3 and 2 bits by the quantizers of the catalog: test accuracy and relative "
    "error of the outputs. quick: seconds; standard: six seeds.",
)

if __name__ == "__main__":
    sys.exit(STUDY.main())
