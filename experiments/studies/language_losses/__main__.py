"""``python -m experiments.studies.language_losses [quick|standard] [text=FILE]``."""

import sys

from experiments.applications.corpus import TEXT
from experiments.studies.study import Study

STUDY = Study.of_folder(
    "language_losses",
    "A character model after cross-entropy, fine-tuned with cross-entropy or with EMO: "
    "cross-entropy of held-out text, and distance of the 3-grams of samples from those "
    "of the text. quick: seconds; standard: six seeds, about a minute.",
    {"text": TEXT},
)

if __name__ == "__main__":
    sys.exit(STUDY.main())
