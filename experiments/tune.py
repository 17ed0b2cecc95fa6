"""``python -m experiments.tune`` is ``jaxopt-lab tune``."""

from jaxopt_lab.lab.commands.tune import main
from jaxopt_lab.lab.ending import leave

if __name__ == "__main__":
    leave(main())
