"""``python -m experiments.find_rate`` is ``jaxopt-lab find_rate``."""

from jaxopt_lab.lab.commands.find_rate import main
from jaxopt_lab.lab.ending import leave

if __name__ == "__main__":
    leave(main())
