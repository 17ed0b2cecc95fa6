"""Test a trained run: ``python -m experiments.evaluate run=runs/NAME``."""

from jaxopt_lab.lab.commands.evaluate import main
from jaxopt_lab.lab.ending import leave

if __name__ == "__main__":
    leave(main())
