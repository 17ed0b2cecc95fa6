"""``python -m experiments.applications.multitasking_hebbian [quick|standard]``."""

import sys

from experiments.applications.application import Application
from experiments.applications.multitasking_hebbian.claims import claims, report
from experiments.applications.multitasking_hebbian.config import SIZES
from experiments.applications.multitasking_hebbian.measure import measure

APPLICATION = Application(
    name="multitasking_hebbian",
    purpose="Patterns with blanks, retrieved by one state of a Hebbian network as a "
    "hierarchy or in parallel, against the mean field. Standard: 40 s.",
    sizes=SIZES,
    measure=measure,
    claims=claims,
    report=report,
    paper="Agliari et al. 2023, multitasking Hebbian networks, from the abstract",
)

if __name__ == "__main__":
    sys.exit(APPLICATION.main())
