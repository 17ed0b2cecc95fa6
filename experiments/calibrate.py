"""Calibrate a trained run: ``python -m experiments.calibrate run=runs/NAME``."""

import sys

from jaxopt_lab.lab.commands.calibrate import main

if __name__ == "__main__":
    sys.exit(main())
