"""``python -m experiments.studies.regularizers [quick|standard] [out=FOLDER]``."""

import sys

from experiments.studies.study import Study

STUDY = Study.of_folder(
    "regularizers",
    "Test accuracy on noisy digits without a regularizer, with SHADE, weight decay and "
    "dropout, at several sizes of data; each regularizer chooses its strength on half "
    "of the seeds. quick: seconds; standard: ten seeds, about a minute.",
)

if __name__ == "__main__":
    sys.exit(STUDY.main())
