"""``python -m experiments.studies.video [quick|standard] [out=FOLDER]``."""

import sys

from experiments.studies.study import Study

STUDY = Study.of_folder(
    "video",
    "Synthetic clips stored as the weights and embeddings of HNeRV, and as those of "
    "NeRV, of equal budgets: signal-to-noise ratio by bytes, of the frames between, "
    "and after quantization. quick: less than a minute; standard: five clips.",
)

if __name__ == "__main__":
    sys.exit(STUDY.main())
