"""``python -m experiments.studies.predictors [quick|standard] [out=FOLDER]``."""

import sys

from experiments.studies.study import Study

STUDY = Study.of_folder(
    "predictors",
    "Kendall's tau of predictors of the accuracy of small networks on digits, from the "
    "text of their program: kernel ridge and a small network, within a space and on a "
    "space of which they have seen no network, against the counts of parameters and of "
    "multiplications. quick: seconds; standard: five benches.",
)

if __name__ == "__main__":
    sys.exit(STUDY.main())
