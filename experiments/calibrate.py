"""Calibrate a trained run: ``python -m experiments.calibrate run=runs/NAME``."""

from jaxopt_lab.lab.commands.calibrate import main
from jaxopt_lab.lab.ending import leave

if __name__ == "__main__":
    leave(main())
