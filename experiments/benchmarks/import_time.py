"""``import jaxopt_lab`` against ``import optax``, in fresh processes.

Run as ``python -m experiments.benchmarks.import_time``.
"""

from __future__ import annotations

import subprocess
import sys

from experiments.benchmarks.paired import ratio, report


def _importing(module: str) -> None:
    subprocess.run([sys.executable, "-c", f"import {module}"], check=True)


def main() -> None:
    """Print the ratio of the two whole processes."""
    measured = ratio(
        lambda: _importing("jaxopt_lab"), lambda: _importing("optax"), pairs=10
    )
    report(
        "import time",
        {
            "jaxopt_lab over optax": measured,
            "seconds, jaxopt_lab": measured.seconds[0],
            "seconds, optax": measured.seconds[1],
        },
    )


if __name__ == "__main__":
    main()
