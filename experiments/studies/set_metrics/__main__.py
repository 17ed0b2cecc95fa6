"""``python -m experiments.studies.set_metrics [quick|standard] [out=FOLDER]``."""

import sys

from experiments.studies.study import Study

STUDY = Study.of_folder(
    "set_metrics",
    "Metrics of real and generated sets, on a ring of Gaussians with noise added, "
    "modes dropped or modes invented. quick: about a minute; standard: ten seeds.",
)

if __name__ == "__main__":
    sys.exit(STUDY.main())
