"""``python -m experiments.search`` is ``jaxopt-lab search``."""

import sys

from jaxopt_lab.lab.commands.search import main

if __name__ == "__main__":
    sys.exit(main())
