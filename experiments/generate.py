"""Text from a run: ``python -m experiments.generate run=FOLDER prompt=TEXT``."""

import sys

from jaxopt_lab.lab.commands.generate import main

if __name__ == "__main__":
    sys.exit(main())
