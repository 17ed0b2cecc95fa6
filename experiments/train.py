"""``python -m experiments.train`` is ``jaxopt-lab train``."""

import sys

from jaxopt_lab.lab.commands.train import main

if __name__ == "__main__":
    sys.exit(main())
