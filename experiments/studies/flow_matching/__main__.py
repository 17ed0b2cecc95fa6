"""``python -m experiments.studies.flow_matching [quick|standard] [out=FOLDER]``."""

import sys

from experiments.studies.study import Study

STUDY = Study.of_folder(
    "flow_matching",
    "Flows from a normal to a ring of Gaussians by CFM and W-CFM: how far their paths "
    "are from straight, the cost of their transport, and the Wasserstein distance of "
    "the samples by number of steps. quick: seconds; standard: eight seeds.",
)

if __name__ == "__main__":
    sys.exit(STUDY.main())
