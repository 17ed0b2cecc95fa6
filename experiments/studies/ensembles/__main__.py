"""``python -m experiments.studies.ensembles [quick|standard] [out=FOLDER]``."""

import sys

from experiments.studies.study import Study

STUDY = Study.of_folder(
    "ensembles",
    "Ensembles of four networks on noisy digits whose diversity is punished (gamma "
    "below 0) or rewarded, small and wide: accuracy and cross-entropy of the mean "
    "prediction. quick: seconds; standard: six seeds, less than a minute.",
)

if __name__ == "__main__":
    sys.exit(STUDY.main())
