"""``python -m experiments.applications.replica_symmetry [quick|standard]``."""

import sys

from experiments.applications.application import Application
from experiments.applications.replica_symmetry.claims import claims, report
from experiments.applications.replica_symmetry.config import SIZES
from experiments.applications.replica_symmetry.measure import measure

APPLICATION = Application(
    name="replica_symmetry",
    purpose="A dense Hopfield network away from its patterns against the 3-spin glass, "
    "by replica theory with one step of breaking and by parallel tempering. Quick: "
    "20 s, standard: 75 s.",
    sizes=SIZES,
    measure=measure,
    claims=claims,
    report=report,
    paper="Albanese et al. 2022, replica symmetry breaking in dense neural networks, "
    "from the abstract",
)

if __name__ == "__main__":
    sys.exit(APPLICATION.main())
