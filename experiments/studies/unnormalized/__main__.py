"""``python -m experiments.studies.unnormalized [quick|standard] [out=FOLDER]``."""

import sys

from experiments.studies.study import Study

STUDY = Study.of_folder(
    "unnormalized",
    "Steps of MECO and noise contrast to the mean of a Gaussian far from the noise, "
    "and the divergence of pairwise binary models whose exact likelihood is known "
    "after MECO, importance sampling, noise contrast and the exact gradient. "
    "quick: seconds; standard: 16 seeds.",
)

if __name__ == "__main__":
    sys.exit(STUDY.main())
