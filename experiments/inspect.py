"""``python -m experiments.inspect`` is ``jaxopt-lab inspect``."""

import sys

from jaxopt_lab.lab.commands.inspect import main

if __name__ == "__main__":
    sys.exit(main())
