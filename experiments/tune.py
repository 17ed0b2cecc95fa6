"""``python -m experiments.tune`` is ``jaxopt-lab tune``."""

import sys

from jaxopt_lab.lab.commands.tune import main

if __name__ == "__main__":
    sys.exit(main())
