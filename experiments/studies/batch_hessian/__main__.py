"""``python -m experiments.studies.batch_hessian [quick|standard] [out=FOLDER]``."""

import sys

from experiments.studies.study import Study

STUDY = Study.of_folder(
    "batch_hessian",
    "Extremal eigenvalues of the Hessian of a batch, and the largest "
    "learning rate at which SGD and Adam stay stable, against the batch "
    "size, on a small network on digits; beside them the predictions of "
    "random matrix theory: linear and square-root growth, then flat. quick: "
    "less than a minute; standard: many times that.",
)

if __name__ == "__main__":
    sys.exit(STUDY.main())
