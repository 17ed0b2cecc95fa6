"""``python -m experiments.studies.edge_of_stability [quick|standard] [out=FOLDER]``."""

import sys

from experiments.studies.study import Study

STUDY = Study.of_folder(
    "edge_of_stability",
    "Train a small tanh network on digits by (stochastic) gradient descent, "
    "momentum and Adam, and measure the largest eigenvalue of the Hessian "
    "along the way: does it rise to the edge of stability and stay there "
    "(Cohen et al. 2021, 2022; Andreyev and Beneventano 2024)? quick: less "
    "than a minute.",
)

if __name__ == "__main__":
    sys.exit(STUDY.main())
