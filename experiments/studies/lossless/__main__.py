"""``python -m experiments.studies.lossless [quick|standard] [out=FOLDER]``."""

import sys

from experiments.studies.study import Study

STUDY = Study.of_folder(
    "lossless",
    "Digits coded without loss by a hidden Chow-Liu tree, fitted on other digits: bits "
    "a pixel against the circuit's own likelihood, PNG and zlib; headers and the "
    "circuit are counted apart. quick: less than a minute; standard: six seeds.",
)

if __name__ == "__main__":
    sys.exit(STUDY.main())
