"""Merge trained runs: ``python -m experiments.merge runs=A,B method=soup``."""

import sys

from jaxopt_lab.lab.commands.merge import main

if __name__ == "__main__":
    sys.exit(main())
