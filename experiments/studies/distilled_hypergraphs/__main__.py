"""``python -m experiments.studies.distilled_hypergraphs [quick|standard]``."""

import sys

from experiments.studies.study import Study

STUDY = Study.of_folder(
    "distilled_hypergraphs",
    "Digits joined with their nearest neighbours in hyperedges, ten labels a class: a "
    "hypergraph network, a perceptron of the labels, and perceptrons that learn from "
    "the network's outputs (LightHGNN) and from those of reliable hyperedges "
    "(LightHGNN+). Accuracy on the digits without labels, and operations of a "
    "prediction with and without the hypergraph. quick: seconds; standard: six seeds.",
)

if __name__ == "__main__":
    sys.exit(STUDY.main())
