"""``python -m experiments.studies.memory_saving [quick|standard] [out=FOLDER]``."""

import sys

from experiments.studies.study import Study

STUDY = Study.of_folder(
    "memory_saving",
    "Loss of a small transformer on a Markov chain where its blocks keep everything, "
    "8-bit codes, sampled rows or their inputs alone, and the bytes kept. The times "
    "stand in experiments.benchmarks.memory_saving. quick: less than a minute; "
    "standard: six seeds, 15 minutes.",
)

if __name__ == "__main__":
    sys.exit(STUDY.main())
