"""``python -m experiments.studies.quantized_pretraining [quick|standard]``."""

import sys

from experiments.studies.study import Study

STUDY = Study.of_folder(
    "quantized_pretraining",
    "Held-out loss of a transformer of characters whose weights, activations, "
    "gradients or moments are rounded to 8 or 4 bits in training. quick: seconds; "
    "standard: six seeds, kept for text=FILE of Tiny Shakespeare.",
    options={"text": "a text file in UTF-8; default: Python's standard library"},
)

if __name__ == "__main__":
    sys.exit(STUDY.main())
