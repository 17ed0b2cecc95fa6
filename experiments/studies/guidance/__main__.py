"""``python -m experiments.studies.guidance [quick|standard] [out=FOLDER]``."""

import sys

from experiments.studies.study import Study

STUDY = Study.of_folder(
    "guidance",
    "Test accuracy of a deep plain network on digits, alone and with layers that are "
    "held near those of a guide by linear CKA: a trained shallow network, untrained "
    "convolutions, and, as a control, an untrained shallow network. quick: seconds; "
    "standard: six seeds, about a minute.",
)

if __name__ == "__main__":
    sys.exit(STUDY.main())
