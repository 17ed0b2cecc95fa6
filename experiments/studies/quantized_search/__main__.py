"""``python -m experiments.studies.quantized_search [quick|standard] [out=FOLDER]``."""

import sys

from experiments.studies.study import Study

STUDY = Study.of_folder(
    "quantized_search",
    "Accuracy on digits against bit operations. SimQ-NAS: depth, widths and bits of "
    "the sub-networks of one trained network, searched together by LINAS, NSGA-II and "
    "at random, and each alone. QuantNAS: operations and bits by gradients, with noise "
    "or with rounding in the search. Hypervolumes at equal numbers of measurements. "
    "quick: seconds; standard: twelve seeds.",
)

if __name__ == "__main__":
    sys.exit(STUDY.main())
