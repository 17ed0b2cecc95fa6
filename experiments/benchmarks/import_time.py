"""``import jaxopt_lab`` against ``import optax``, in fresh processes.

Names are loaded on first use, so the import alone says little: measured are the import
with one method taken from it, and with all of them. Processor time of whole processes,
of modules that are compiled already, as an installer leaves them.

Python's collector visits all objects of jax in a full collection, and ``import optax``
ends shortly before one is due: whatever is imported next sets it off. It is counted,
and the ratios are shown without collections, too.

Run as ``python -m experiments.benchmarks.import_time``.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile

from experiments.benchmarks.paired import Ratio, ratio, report

_OPTAX = "import optax"
_ONE = "import optax, jaxopt_lab; jaxopt_lab.sam"
_ALL = "import optax; from jaxopt_lab import *"
_WITHOUT = "import gc; gc.disable(); "
_COUNT = "; import gc; print(gc.get_stats()[2]['collections'])"


def _children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> None:
    """Print the ratios of the whole processes."""
    with tempfile.TemporaryDirectory() as compiled:
        environment = {**os.environ, "PYTHONPYCACHEPREFIX": compiled}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)

        def run(code: str) -> str:
            command = (sys.executable, "-c", code)
            return subprocess.run(
                command, check=True, env=environment, capture_output=True, text=True
            ).stdout

        def over_optax(code: str, first: str = "") -> Ratio:
            return ratio(
                lambda: run(first + code),
                lambda: run(first + _OPTAX),
                pairs=10,
                clock=_children,
            )

        one = over_optax(_ONE)
        report(
            "import time",
            {
                "one method over optax": one,
                "without collections": over_optax(_ONE, _WITHOUT),
                "all methods over optax": over_optax(_ALL),
                "all, without collections": over_optax(_ALL, _WITHOUT),
                "seconds, one method": one.seconds[0],
                "seconds, optax": one.seconds[1],
                "full collections, one method": int(run(_ONE + _COUNT)),
                "full collections, optax": int(run(_OPTAX + _COUNT)),
            },
        )


if __name__ == "__main__":
    main()
