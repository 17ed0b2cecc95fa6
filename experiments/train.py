"""``python -m experiments.train`` is ``jaxopt-lab train``."""

from jaxopt_lab.lab.commands.train import main
from jaxopt_lab.lab.ending import leave

if __name__ == "__main__":
    leave(main())
