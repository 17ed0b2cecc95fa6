"""``python -m experiments.studies.data_free [quick|standard] [out=FOLDER]``."""

import sys

from experiments.studies.study import Study

STUDY = Study.of_folder(
    "data_free",
    "Accuracy of a convolutional network on digits in 3 or 2 bits, activations in 4, "
    "calibrated on real digits, on ZeroQ's distilled inputs, on those of Genie's "
    "generator, on normal noise and without inputs; and bits by ZeroQ's "
    "sensitivities. quick: less than a minute; standard: twelve seeds.",
)

if __name__ == "__main__":
    sys.exit(STUDY.main())
