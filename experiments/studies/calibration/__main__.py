"""``python -m experiments.studies.calibration [quick|standard] [out=FOLDER]``."""

import sys

from experiments.studies.study import Study

STUDY = Study.of_folder(
    "calibration",
    "Calibration errors of over-trained networks on few noisy digits: cross-entropy, "
    "mixup and the two losses of RankMixup, each as it is and after a temperature, and "
    "the first one after every calibrator. quick: seconds; standard: six seeds, about "
    "a minute.",
)

if __name__ == "__main__":
    sys.exit(STUDY.main())
