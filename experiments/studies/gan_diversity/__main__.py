"""``python -m experiments.studies.gan_diversity [quick|standard] [out=FOLDER]``."""

import sys

from experiments.studies.study import Study

STUDY = Study.of_folder(
    "gan_diversity",
    "Modes of a ring and of a grid of Gaussians that GANs cover with one or several "
    "discriminators, with dropped feedback (Dropout-GAN) and with slices of the batch "
    "that are told apart (microbatchGAN). quick: seconds; standard: ten seeds, four "
    "minutes.",
)

if __name__ == "__main__":
    sys.exit(STUDY.main())
