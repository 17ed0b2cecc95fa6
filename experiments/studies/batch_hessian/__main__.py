"""``python -m experiments.studies.batch_hessian [quick|standard] [out=FOLDER]``."""

import sys

from experiments.studies.batch_hessian.claims import claims, report
from experiments.studies.batch_hessian.config import SIZES
from experiments.studies.batch_hessian.measure import measure
from experiments.studies.study import Study

STUDY = Study(
    name="batch_hessian",
    purpose=(
        "Extremal eigenvalues of the Hessian of a batch, and the largest "
        "learning rate at which SGD and Adam stay stable, against the batch "
        "size, on a small network on digits; beside them the predictions of "
        "random matrix theory: linear and square-root growth, then flat. quick: "
        "less than a minute; standard: many times that."
    ),
    sizes=SIZES,
    measure=measure,
    claims=claims,
    report=report,
)

if __name__ == "__main__":
    sys.exit(STUDY.main())
