"""``python -m experiments.studies.landscapes [quick|standard] [out=FOLDER]``."""

import sys

from experiments.studies.study import Study

STUDY = Study.of_folder(
    "landscapes",
    "Train on digits with SGD, SAM, mSAM, Adam and Adam with critical "
    "momenta, each at the setting that the validation accuracy chooses, and "
    "measure the minima: largest eigenvalue of the Hessian, average-"
    "direction sharpness, lines and planes along filter-normalised "
    "directions and top eigenvectors. Writes for each network and loss "
    "CASE-planes.png, CASE-lines.png and CASE-landscapes.npz too.\n\n"
    "quick: a perceptron, less than a minute; standard: more seeds, finer "
    "grids and a small convolutional network too.",
)

if __name__ == "__main__":
    sys.exit(STUDY.main())
