"""``python -m experiments.studies.linear_attention [quick|standard] [out=FOLDER]``."""

import sys

from experiments.studies.study import Study

STUDY = Study.of_folder(
    "linear_attention",
    "Rank correlation of the norm of a query and the entropy of its weights, in a "
    "small vision transformer on digits that was trained with softmax, under softmax, "
    "norm-aware linear attention (NaLaFormer's map) and linear attention on rectified "
    "queries and keys; and the accuracy of all three, trained. quick: seconds; "
    "standard: ten seeds, five of them for the choice of learning rates.",
)

if __name__ == "__main__":
    sys.exit(STUDY.main())
