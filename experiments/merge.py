"""Merge trained runs: ``python -m experiments.merge runs=A,B method=soup``."""

from jaxopt_lab.lab.commands.merge import main
from jaxopt_lab.lab.ending import leave

if __name__ == "__main__":
    leave(main())
