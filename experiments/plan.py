"""``python -m experiments.plan`` is ``jaxopt-lab plan``."""

import sys

from jaxopt_lab.lab.commands.plan import main

if __name__ == "__main__":
    sys.exit(main())
