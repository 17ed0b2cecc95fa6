"""``python -m experiments.studies.compression [quick|standard] [out=FOLDER]``."""

import sys

from experiments.studies.study import Study

STUDY = Study.of_folder(
    "compression",
    "Accuracy on digits at equal bytes of networks that were trained to be cut "
    "(Maestro's ordered ranks, SortedNet's nested widths) or are cut afterwards "
    "(singular values, units, merged experts of MC-SMoE), beside small networks. "
    "quick: seconds; standard: eight seeds.",
)

if __name__ == "__main__":
    sys.exit(STUDY.main())
