"""``python -m experiments.studies.implicit_images [quick|standard] [out=FOLDER]``."""

import sys

from experiments.studies.study import Study

STUDY = Study.of_folder(
    "implicit_images",
    "Peak signal-to-noise ratio of sine networks (SIREN) fitted to signals of low and "
    "of high frequencies, with and without WINNER's noise on the first kernels, its "
    "scale by the formula and by a grid. quick: less than a minute; standard: six "
    "seeds.",
)

if __name__ == "__main__":
    sys.exit(STUDY.main())
