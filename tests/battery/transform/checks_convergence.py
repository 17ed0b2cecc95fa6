"""It optimises."""

from __future__ import annotations

import numpy as np

from battery.registry import check
from battery.transform import descent
from battery.transform.deferred import tier
from battery.transform.subject import Subject


@check("transform", tier=tier)
def converges(subject: Subject) -> None:
    """The loss falls on a parabola, on Rosenbrock's valley and on a network."""
    for name, found in subject.descent.items():
        best = float(np.nanmin(found))
        wanted = descent.PROBLEMS[name][-1]
        assert best <= wanted, f"{name}: the loss falls to {best:.3g} of its start"
