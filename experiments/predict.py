"""Classes of new inputs: ``python -m experiments.predict run=runs/NAME input=FILE``."""

import sys

from jaxopt_lab.lab.commands.predict import main

if __name__ == "__main__":
    sys.exit(main())
