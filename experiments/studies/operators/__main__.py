"""``python -m experiments.studies.operators [quick|standard] [out=FOLDER]``."""

import sys

from experiments.studies.study import Study

STUDY = Study.of_folder(
    "operators",
    "Relative errors of solutions of Poisson's and Darcy's equation by a neural "
    "operator of multigrid cycles (MgNO), a convolutional network and one of spectral "
    "convolutions, of about equal numbers of parameters. quick: seconds; standard: "
    "five seeds.",
)

if __name__ == "__main__":
    sys.exit(STUDY.main())
