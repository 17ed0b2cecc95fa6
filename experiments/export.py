"""Export a trained run: ``python -m experiments.export run=runs/NAME to=npz``."""

from jaxopt_lab.lab.commands.export import main
from jaxopt_lab.lab.ending import leave

if __name__ == "__main__":
    leave(main())
