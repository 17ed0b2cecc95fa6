"""``python -m experiments.studies.stability [quick|standard] [out=FOLDER]``."""

import sys

from experiments.studies.stability.claims import claims, report
from experiments.studies.stability.config import SIZES
from experiments.studies.stability.measure import measure
from experiments.studies.study import Study

STUDY = Study(
    name="stability",
    purpose=(
        "Thresholds of the learning rate of SGD at a minimum, exact and from "
        "simple tests, against simulated SGD: groups of identical Hessians, a "
        "two-layer linear network, a small network that interpolates digits. "
        "quick: less than a minute; standard: more learning rates, runs and "
        "ways of sampling."
    ),
    sizes=SIZES,
    measure=measure,
    claims=claims,
    report=report,
)

if __name__ == "__main__":
    sys.exit(STUDY.main())
