"""``python -m experiments.studies.layer_search [quick|standard] [out=FOLDER]``."""

import sys

from experiments.studies.study import Study

STUDY = Study.of_folder(
    "layer_search",
    "Layers of normalization and activation for digits, found by regularized evolution "
    "and by random search from as many candidates, hopeless ones rejected early. "
    "quick: seconds; standard: eight seeds, two minutes.",
)

if __name__ == "__main__":
    sys.exit(STUDY.main())
