"""``python -m experiments.studies.continual_statistics [quick|standard]``."""

import sys

from experiments.studies.study import Study

STUDY = Study.of_folder(
    "continual_statistics",
    "Accuracy on digits that come two classes at a time, with experience replay: "
    "AdaB2N against batch normalization, and how far the stored statistics are from "
    "those of all classes. quick: seconds; standard: ten seeds, a minute.",
)

if __name__ == "__main__":
    sys.exit(STUDY.main())
