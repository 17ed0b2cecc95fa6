"""``python -m experiments.studies.isometric [quick|standard] [out=FOLDER]``."""

import sys

from experiments.studies.study import Study

STUDY = Study.of_folder(
    "isometric",
    "Two layers of GCN on a grid, a tree and the people of a novel, trained to tell "
    "edges from other pairs, with random features or distances from landmarks, and "
    "with or without the isometric loss: Kendall's tau of distances between embeddings "
    "and in the graph, and the area under the curve for edges kept aside. quick: less "
    "than a minute; standard: six seeds.",
)

if __name__ == "__main__":
    sys.exit(STUDY.main())
