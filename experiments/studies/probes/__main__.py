"""``python -m experiments.studies.probes [quick|standard] [out=FOLDER]``."""

import sys

from experiments.studies.study import Study

STUDY = Study.of_folder(
    "probes",
    "Test accuracy of two linear probes over the number of labelled digits: naive "
    "Bayes with shared variances and logistic regression, on pixels and on features of "
    "a trained and of an untrained network. quick: seconds; standard: ten draws, less "
    "than a minute.",
)

if __name__ == "__main__":
    sys.exit(STUDY.main())
