"""``python -m experiments.studies.retrieval [quick|standard] [out=FOLDER]``."""

import sys

from experiments.studies.study import Study

STUDY = Study.of_folder(
    "retrieval",
    "Embeddings trained on the digits 0 to 4, retrieval among 5 to 9: proxies with and "
    "without threshold-consistent margins, judged by recall and by inconsistency of "
    "operating points (OPIS); contrastive losses with one and with several positives, "
    "and with ranks of similarities (CoDiEmb). quick: seconds; standard: six seeds, "
    "about a minute.",
)

if __name__ == "__main__":
    sys.exit(STUDY.main())
