"""``python -m experiments.studies.unlearning [quick|standard] [out=FOLDER]``."""

import sys

from experiments.studies.study import Study

STUDY = Study.of_folder(
    "unlearning",
    "Distance (KLoM) from models that were trained without some digits of models that "
    "unlearned them: by fine-tuning on the others, by oracle matching, and by the "
    "outputs that a datamodel predicts (DM-direct). quick: seconds; standard: "
    "sixteen forget sets, less than a minute.",
)

if __name__ == "__main__":
    sys.exit(STUDY.main())
