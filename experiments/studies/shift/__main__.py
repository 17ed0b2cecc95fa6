"""``python -m experiments.studies.shift [quick|standard] [out=FOLDER]``."""

import sys

from experiments.studies.study import Study

STUDY = Study.of_folder(
    "shift",
    "Accuracy on corrupted digits of a network with batch normalization, in streams "
    "that are shuffled or sorted by class: statistics of the source, of the test "
    "batch, a mixture of both (alpha-BN), and un-mixed ones (UnMix-TNS). quick: "
    "seconds; standard: eight seeds, a minute.",
)

if __name__ == "__main__":
    sys.exit(STUDY.main())
