"""``python -m experiments.studies.sharpness [quick|standard] [fashion=FOLDER]``."""

import sys

from experiments.studies.study import Study

STUDY = Study.of_folder(
    "sharpness",
    "Claims about sharpness-aware methods, measured on digits: accuracy, "
    "clean and under weight noise, with wrong labels, and flatness. Each "
    "method has as many settings to choose from; rows that tune a radius "
    "keep one step size.\n\n"
    "quick: 2 seeds and 12 rows, a minute on one core; standard: 10 seeds and 12 "
    "rows, a few minutes. Panels: digits, digits-40-percent-wrong, fashion.",
    {
        "fashion": "folder of Fashion-MNIST's IDX files or of prepared TFDS sets; "
        "without it the panel with the convolutional network is left out",
        "only": "names of panels, separated by commas",
        "first_seed": "the first of consecutive seeds",
    },
)

if __name__ == "__main__":
    sys.exit(STUDY.main())
