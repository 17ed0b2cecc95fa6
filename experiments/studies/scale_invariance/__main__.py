"""``python -m experiments.studies.scale_invariance [quick|standard] [out=FOLDER]``."""

import sys

from experiments.studies.study import Study

STUDY = Study.of_folder(
    "scale_invariance",
    "Growth of scale-invariant weights and length of the effective steps on digits: "
    "momentum against SGDP, Adam against AdamP and against Adam with held norms. "
    "quick: seconds; standard: ten seeds, a few minutes.",
)

if __name__ == "__main__":
    sys.exit(STUDY.main())
