"""``python -m experiments.studies.small_batches [quick|standard] [out=FOLDER]``."""

import sys

from experiments.studies.study import Study

STUDY = Study.of_folder(
    "small_batches",
    "Test accuracy on digits of a small convolutional network with batch, group and "
    "batch-channel normalization (on standardized weights) and with EvoNorm, at "
    "batches of 2, 8 and 64. quick: seconds; standard: six seeds, three minutes.",
)

if __name__ == "__main__":
    sys.exit(STUDY.main())
