"""``python -m experiments.studies.early_stopping [quick|standard] [out=FOLDER]``."""

import sys

from experiments.studies.study import Study

STUDY = Study.of_folder(
    "early_stopping",
    "Errors of MAML on sinusoids of the source and of shifted and wider inputs, at the "
    "checkpoint of the best validation, at that of ABE and at the best one. quick: "
    "seconds; standard: ten seeds.",
)

if __name__ == "__main__":
    sys.exit(STUDY.main())
