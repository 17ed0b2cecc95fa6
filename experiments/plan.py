"""``python -m experiments.plan`` is ``jaxopt-lab plan``."""

from jaxopt_lab.lab.commands.plan import main
from jaxopt_lab.lab.ending import leave

if __name__ == "__main__":
    leave(main())
