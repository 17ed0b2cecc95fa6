"""``python -m experiments.studies.wrong_labels [quick|standard] [out=FOLDER]``."""

import sys

from experiments.studies.study import Study

STUDY = Study.of_folder(
    "wrong_labels",
    "Test accuracy on digits with 40 % wrong labels: cross-entropy, dropout, SAM, "
    "nested dropout, and co-teaching of two networks with nested dropout; and accuracy "
    "over the number of features. quick: seconds; standard: six seeds, about a minute.",
)

if __name__ == "__main__":
    sys.exit(STUDY.main())
