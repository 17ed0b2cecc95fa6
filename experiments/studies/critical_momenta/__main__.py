"""``python -m experiments.studies.critical_momenta [quick|standard]``."""

import sys

from experiments.studies.study import Study

STUDY = Study.of_folder(
    "critical_momenta",
    "Adam, and Adam with critical momenta (CM), critical gradients (CG), "
    "SAM and Lookahead: which minimum they reach on landscapes with "
    "several, and how fast; how old a buffer is and how long the steps are; "
    "online learning on a stream of tasks (digits, or Fashion-MNIST); a "
    "small LSTM. Each chooses its learning rate on one half of the starts "
    "or seeds and is scored on the other.",
    {
        "fashion": "folder of Fashion-MNIST's IDX files, for the streams; default: "
        "digits",
        "text": "a text file for the LSTM; without it that panel is left out",
    },
)

if __name__ == "__main__":
    sys.exit(STUDY.main())
