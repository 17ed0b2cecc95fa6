"""``python -m experiments.studies.network_compression [quick|standard] [out=F]``."""

import sys

from experiments.studies.study import Study

STUDY = Study.of_folder(
    "network_compression",
    "Chains of convolutions for digits, compressed by policies that remove layers and "
    "then shrink kernels and channels, with REINFORCE and at random from as many "
    "trained students; and the policy of removals for another teacher. quick: "
    "seconds; standard: five seeds.",
)

if __name__ == "__main__":
    sys.exit(STUDY.main())
