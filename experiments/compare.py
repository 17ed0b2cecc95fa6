"""``python -m experiments.compare`` is ``jaxopt-lab compare``."""

from jaxopt_lab.lab.commands.compare import main
from jaxopt_lab.lab.ending import leave

if __name__ == "__main__":
    leave(main())
