"""``python -m experiments.studies.denoiser_locality [quick|standard] [out=FOLDER]``."""

import sys

from experiments.studies.study import Study

STUDY = Study.of_folder(
    "denoiser_locality",
    "Agreement of networks that were trained to denoise digits, also with shuffled "
    "pixels, with the optimal, the linear (Wiener), square-patch and data-local "
    "denoisers, and of their derivatives with the Wiener filter. quick: seconds; "
    "standard: six seeds.",
)

if __name__ == "__main__":
    sys.exit(STUDY.main())
