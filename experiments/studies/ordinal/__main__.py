"""``python -m experiments.studies.ordinal [quick|standard] [out=FOLDER]``."""

import sys

from experiments.studies.study import Study

STUDY = Study.of_folder(
    "ordinal",
    "Angles of rotated digits by a regression, and by probes of contrastive embeddings "
    "with and without mixtures (SupReMix); quality of noisy digits by levels with hard "
    "labels, soft labels and a fidelity loss over two sets with scales of their own "
    "(DeQA-Score). quick: seconds; standard: six seeds, about a minute.",
)

if __name__ == "__main__":
    sys.exit(STUDY.main())
