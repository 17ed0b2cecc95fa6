"""``python -m experiments.studies.grammar_search [quick|standard] [out=FOLDER]``."""

import sys

from experiments.studies.study import Study

STUDY = Study.of_folder(
    "grammar_search",
    "Architectures of einspace's grammar for digits: evolution from random ones, "
    "evolution from a small residual network, and random draws, as many trained "
    "candidates each. Shapes differ: every architecture is compiled, and the "
    "compilations are counted. quick: seconds; standard: five seeds.",
)

if __name__ == "__main__":
    sys.exit(STUDY.main())
