"""The lab: runs of networks and data sets, from the command line and from Python.

``run`` trains, ``load`` reads a run back, ``find_rate`` finds a learning rate,
``compare`` compares methods; all are imported on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jaxopt_lab.lab.comparison.compare import compare as compare
    from jaxopt_lab.lab.python_runs import Run as Run
    from jaxopt_lab.lab.python_runs import find_rate as find_rate
    from jaxopt_lab.lab.python_runs import load as load
    from jaxopt_lab.lab.python_runs import run as run

__all__ = ["Run", "compare", "find_rate", "load", "run"]

_PLACES = {"compare": "jaxopt_lab.lab.comparison.compare"}


def __getattr__(name: str) -> Any:
    if name in __all__:
        import importlib

        place = _PLACES.get(name, "jaxopt_lab.lab.python_runs")
        found = importlib.import_module(place)
        value = getattr(found, name)
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
