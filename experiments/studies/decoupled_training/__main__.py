"""``python -m experiments.studies.decoupled_training [quick|standard] [out=DIR]``."""

import sys

from experiments.studies.study import Study

STUDY = Study.of_folder(
    "decoupled_training",
    "Digits learned by modules that wait for each other's gradients, for a part of "
    "them or not at all, and a symbol remembered over windows of a recurrence with and "
    "without synthetic gradients. quick: seconds; standard: eight seeds.",
)

if __name__ == "__main__":
    sys.exit(STUDY.main())
