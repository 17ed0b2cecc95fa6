"""Export a trained run: ``python -m experiments.export run=runs/NAME to=npz``."""

import sys

from jaxopt_lab.lab.commands.export import main

if __name__ == "__main__":
    sys.exit(main())
