"""``python -m experiments.studies.interaction_basis [quick|standard] [out=FOLDER]``."""

import sys

from experiments.studies.study import Study

STUDY = Study.of_folder(
    "interaction_basis",
    "The share of the interactions between neighbouring layers of a perceptron on "
    "digits that holds 95 % of their strength, in the local interaction basis, in "
    "principal directions and of the neurons themselves; and what other coordinates of "
    "a hidden layer change in the first two. quick: seconds; standard: six networks.",
)

if __name__ == "__main__":
    sys.exit(STUDY.main())
