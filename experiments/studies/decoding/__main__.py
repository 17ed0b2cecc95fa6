"""``python -m experiments.studies.decoding [quick|standard] [text=FILE]``."""

import sys

from experiments.studies.study import Study

STUDY = Study.of_folder(
    "decoding",
    "Tokens that every decoder makes in a call of its model: cached greedy decoding, "
    "speculative decoding with a smaller trained draft, also with a pool of rows, "
    "SkipDecode against an early exit at equal cost, and CreditDecoding of a masked "
    "diffusion. Speculative text is compared with greedy text, row by row. quick: "
    "less than a minute; standard: five seeds.",
    {"text": "a text file; without it the text is of a Markov chain"},
)

if __name__ == "__main__":
    sys.exit(STUDY.main())
