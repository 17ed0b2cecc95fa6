"""``python -m experiments.inspect`` is ``jaxopt-lab inspect``."""

from jaxopt_lab.lab.commands.inspect import main
from jaxopt_lab.lab.ending import leave

if __name__ == "__main__":
    leave(main())
