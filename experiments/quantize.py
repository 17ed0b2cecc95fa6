"""Quantize a trained run: ``python -m experiments.quantize run=runs/NAME bits=3``."""

from jaxopt_lab.lab.commands.quantize import main
from jaxopt_lab.lab.ending import leave

if __name__ == "__main__":
    leave(main())
