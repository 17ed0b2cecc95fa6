"""``python -m experiments.search`` is ``jaxopt-lab search``."""

from jaxopt_lab.lab.commands.search import main
from jaxopt_lab.lab.ending import leave

if __name__ == "__main__":
    leave(main())
