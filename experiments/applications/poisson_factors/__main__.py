"""``python -m experiments.applications.poisson_factors [quick|standard]``."""

import sys

from experiments.applications.application import Application
from experiments.applications.poisson_factors.claims import claims, report
from experiments.applications.poisson_factors.config import SETS, SIZES
from experiments.applications.poisson_factors.measure import measure, prepare

APPLICATION = Application(
    name="poisson_factors",
    purpose="Counts over time by a Gibbs sampler of dynamic Poisson factors, against "
    "factors without dynamics and an autoregression: words of the sources of Python's "
    "standard library in the order of modules, and counts drawn from the model. "
    "Standard: a minute.",
    sizes=SIZES,
    measure=measure,
    claims=claims,
    report=report,
    options={"data": f"one set in place of those of the size: {', '.join(SETS)}"},
    prepare=prepare,
    paper="Acharya, Ghosh and Zhou 2015, arXiv:1512.08996",
)

if __name__ == "__main__":
    sys.exit(APPLICATION.main())
