"""``python -m experiments.compare`` is ``jaxopt-lab compare``."""

import sys

from jaxopt_lab.lab.commands.compare import main

if __name__ == "__main__":
    sys.exit(main())
