"""``python -m experiments.studies.few_labels [quick|standard] [out=FOLDER]``."""

import sys

from experiments.studies.study import Study

STUDY = Study.of_folder(
    "few_labels",
    "Test accuracy with four labels a class and many digits without: supervised "
    "training, FixMatch, ShrinkMatch, a mean teacher, and HybridNet. quick: seconds; "
    "standard: six seeds, about a minute.",
)

if __name__ == "__main__":
    sys.exit(STUDY.main())
