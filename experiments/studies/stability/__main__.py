"""``python -m experiments.studies.stability [quick|standard] [out=FOLDER]``."""

import sys

from experiments.studies.study import Study

STUDY = Study.of_folder(
    "stability",
    "Thresholds of the learning rate of SGD at a minimum, exact and from "
    "simple tests, against simulated SGD: groups of identical Hessians, a "
    "two-layer linear network, a small network that interpolates digits. "
    "quick: less than a minute; standard: more learning rates, runs and "
    "ways of sampling.",
)

if __name__ == "__main__":
    sys.exit(STUDY.main())
