"""``python -m experiments.studies.class_incremental [quick|standard] [out=FOLDER]``."""

import sys

from experiments.studies.study import Study

STUDY = Study.of_folder(
    "class_incremental",
    "Digits learned in five tasks of two classes: fine-tuning, replay, proxies with "
    "and without the distillation of PODNet, and the Ghost Model with the segments of "
    "a display as attributes. quick: seconds; standard: eight seeds.",
)

if __name__ == "__main__":
    sys.exit(STUDY.main())
