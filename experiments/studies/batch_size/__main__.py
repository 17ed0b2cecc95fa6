"""``python -m experiments.studies.batch_size [quick|standard] [fashion=FOLDER]``."""

import sys

from experiments.studies.study import Study

STUDY = Study.of_folder(
    "batch_size",
    "Steps and test accuracy of AdaGrad with a batch that grows by the norm test "
    "against fixed batches of as many examples, and the gap of a large batch, closed "
    "by a larger rate, ghost batches and as many steps. Digits, or Fashion-MNIST where "
    "a folder is given. quick: seconds; standard: six and twelve seeds, a minute.",
    {"fashion": "folder of Fashion-MNIST's IDX files or of prepared TFDS sets"},
)

if __name__ == "__main__":
    sys.exit(STUDY.main())
