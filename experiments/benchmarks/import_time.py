"""``import jaxopt_lab`` against ``import optax``, in fresh processes.

Names are loaded on first use, so the import alone says little: measured are the import
with one method taken from it, and with all of them.

Run as ``python -m experiments.benchmarks.import_time``.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

from experiments.benchmarks.paired import ratio, report

_ONE = "import optax, jaxopt_lab; jaxopt_lab.sam"
_ALL = "import optax; from jaxopt_lab import *"


def _running(code: str) -> Callable[[], None]:
    return lambda: subprocess.run([sys.executable, "-c", code], check=True) and None


def main() -> None:
    """Print the ratios of the whole processes."""
    optax = _running("import optax")
    one = ratio(_running(_ONE), optax, pairs=10)
    report(
        "import time",
        {
            "one method over optax": one,
            "all methods over optax": ratio(_running(_ALL), optax, pairs=10),
            "seconds, one method": one.seconds[0],
            "seconds, optax": one.seconds[1],
        },
    )


if __name__ == "__main__":
    main()
