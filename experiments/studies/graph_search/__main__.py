"""``python -m experiments.studies.graph_search [quick|standard] [out=FOLDER]``."""

import sys

from experiments.studies.study import Study

STUDY = Study.of_folder(
    "graph_search",
    "Networks of two graph layers for digits and their neighbours, ten labels a class: "
    "attention, aggregate, activation and width of both layers, found by Auto-GNN's "
    "explorer, by regularized evolution and by random search from as many trained "
    "candidates, beside GCN and GAT. quick: seconds; standard: eight seeds.",
)

if __name__ == "__main__":
    sys.exit(STUDY.main())
