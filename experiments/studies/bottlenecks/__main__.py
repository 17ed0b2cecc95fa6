"""``python -m experiments.studies.bottlenecks [quick|standard] [out=FOLDER]``."""

import sys

from experiments.studies.study import Study

STUDY = Study.of_folder(
    "bottlenecks",
    "Error of residual perceptrons that take noise from digits, with wide skips and "
    "narrow bottlenecks (Hourglass) or the other way round, at equal numbers of "
    "trained parameters; and with a trained lift. quick: less than a minute; standard: "
    "six seeds.",
)

if __name__ == "__main__":
    sys.exit(STUDY.main())
