"""``python -m experiments.studies.temporal_graphs [quick|standard] [out=FOLDER]``."""

import sys

from experiments.studies.study import Study

STUDY = Study.of_folder(
    "temporal_graphs",
    "The next speaker of conversations, told from a memory of nodes (TGN) that is "
    "trained in batches of growing size: plain, with PRES's prediction and correction, "
    "with its coherence, and with both. Average precision against negatives among the "
    "recent speakers. quick: less than a minute; standard: eight seeds, text=FILE: "
    "the speakers of a play, Tiny Shakespeare, in place of a synthetic stream.",
    options={"text": "a play: speakers are lines that end in a colon"},
)

if __name__ == "__main__":
    sys.exit(STUDY.main())
