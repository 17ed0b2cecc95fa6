"""``python -m experiments.find_rate`` is ``jaxopt-lab find_rate``."""

import sys

from jaxopt_lab.lab.commands.find_rate import main

if __name__ == "__main__":
    sys.exit(main())
