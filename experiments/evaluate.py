"""Test a trained run: ``python -m experiments.evaluate run=runs/NAME``."""

import sys

from jaxopt_lab.lab.commands.evaluate import main

if __name__ == "__main__":
    sys.exit(main())
