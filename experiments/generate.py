"""Text from a run: ``python -m experiments.generate run=FOLDER prompt=TEXT``."""

from jaxopt_lab.lab.commands.generate import main
from jaxopt_lab.lab.ending import leave

if __name__ == "__main__":
    leave(main())
