"""``python -m experiments.studies.mixers [quick|standard] [out=FOLDER]``."""

import sys

from experiments.studies.study import Study

STUDY = Study.of_folder(
    "mixers",
    "Loss of masked characters of a Markov chain by networks of equal numbers of "
    "parameters that mix tokens by Hydra's quasiseparable matrix, a scan in one "
    "direction, the sum of two scans without a free diagonal, a Toeplitz matrix or "
    "attention. quick: seconds; standard: six seeds.",
)

if __name__ == "__main__":
    sys.exit(STUDY.main())
