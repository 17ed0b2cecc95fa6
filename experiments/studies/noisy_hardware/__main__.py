"""``python -m experiments.studies.noisy_hardware [quick|standard] [out=FOLDER]``."""

import sys

from experiments.studies.study import Study

STUDY = Study.of_folder(
    "noisy_hardware",
    "Accuracy on digits of perceptrons whose weights are noisy, trained with momentum, "
    "SAM, ASAM and SAMSON at the radius that other seeds choose; beside it the squared "
    "error of the outputs that MemSE predicts and the one that is simulated. quick: "
    "seconds; standard: five seeds.",
)

if __name__ == "__main__":
    sys.exit(STUDY.main())
