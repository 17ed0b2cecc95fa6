"""``python -m experiments.studies.long_tail [quick|standard] [out=FOLDER]``."""

import sys

from experiments.studies.study import Study

STUDY = Study.of_folder(
    "long_tail",
    "Balanced test accuracy, and that of the three rarest classes, of networks trained "
    "on noisy digits whose classes have from 100 examples to 3: cross-entropy, logit "
    "adjustment, MDCS and BatchFormer. quick: seconds; standard: six seeds, about a "
    "minute.",
)

if __name__ == "__main__":
    sys.exit(STUDY.main())
