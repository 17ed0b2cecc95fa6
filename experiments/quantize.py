"""Quantize a trained run: ``python -m experiments.quantize run=runs/NAME bits=3``."""

import sys

from jaxopt_lab.lab.commands.quantize import main

if __name__ == "__main__":
    sys.exit(main())
