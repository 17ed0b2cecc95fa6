"""``python -m experiments.studies.compressed [quick|standard] [text=FILE]``."""

import sys

from experiments.studies.study import Study

STUDY = Study.of_folder(
    "compressed",
    "AdamW, its 8- and 4-bit states, linear codes of the second moment, "
    "MicroAdam, LDAdam, GaLore and Adafactor: a convolutional network on "
    "digits, and with a text a character transformer from scratch and fine-"
    "tuned from a trained one. Each chooses its learning rate on one half "
    "of the seeds and is scored on the other. Loss, bytes of state and of "
    "the compiled step, time of a step.",
    {"text": "a text file for the transformer; without it only the convnet"},
)

if __name__ == "__main__":
    sys.exit(STUDY.main())
