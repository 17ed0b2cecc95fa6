"""``python -m experiments.studies.depth [quick|standard] [out=FOLDER]``."""

import sys

from experiments.studies.study import Study

STUDY = Study.of_folder(
    "depth",
    "Deep transformers on a Markov chain with norms before and behind (Mix-LN) and "
    "scaled by depth (LayerNorm scaling): loss, growth of the residual stream, "
    "gradients of deep blocks over those of shallow ones, and the loss that a deep "
    "block saves; and residual networks without norms on digits, their modules scaled "
    "by 1, by the root of their number or by the number. quick: less than a minute; "
    "standard: six seeds, five minutes.",
)

if __name__ == "__main__":
    sys.exit(STUDY.main())
