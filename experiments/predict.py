"""Classes of new inputs: ``python -m experiments.predict run=runs/NAME input=FILE``."""

from jaxopt_lab.lab.commands.predict import main
from jaxopt_lab.lab.ending import leave

if __name__ == "__main__":
    leave(main())
