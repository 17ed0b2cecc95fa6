"""``python -m experiments.studies.shift [quick|standard] [fashion=FOLDER]``."""

import sys

from experiments.studies.study import Study

STUDY = Study.of_folder(
    "shift",
    "Accuracy on corrupted images of a network with batch normalization, in streams "
    "that are shuffled or sorted by class: statistics of the source, of the test "
    "batch, a mixture of both (alpha-BN), and un-mixed ones (UnMix-TNS). Digits, and "
    "Fashion-MNIST where a folder is given. quick: seconds; standard: eight seeds, a "
    "minute for each set.",
    {"fashion": "folder of Fashion-MNIST's IDX files or of prepared TFDS sets"},
)

if __name__ == "__main__":
    sys.exit(STUDY.main())
