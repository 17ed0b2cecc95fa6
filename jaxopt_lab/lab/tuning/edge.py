"""The edge of a grid: whether the best setting stands there, and a wider grid."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import NamedTuple

from jaxopt_lab.core.options import Interval


class Edge(NamedTuple):
    """An option whose best value is the last one of its axis.

    Attributes:
      option: its name.
      value: the best value, as a text.
      side: ``"smallest"`` or ``"largest"``.
      wider: as many values around it, as texts.
    """

    option: str
    value: str
    side: str
    wider: tuple[str, ...]

    def told(self) -> str:
        """The warning, without the command."""
        return (
            f"the best {self.option}={self.value} is the {self.side} of the grid; "
            "a better one may lie outside"
        )


def edge(
    name: str,
    texts: Sequence[str],
    numbers: Sequence[float],
    best: int,
    accepted: Interval | None = None,
) -> Edge | None:
    """The edge at which the best value of an axis stands.

    Args:
      name: of the option.
      texts: its values.
      numbers: the same as numbers.
      best: index of the best.
      accepted: the accepted values; its ends are no edge.

    Returns:
      The edge; ``None`` where the value is inside, or there is nothing beyond it.
      Values beyond it continue the last two: with the same ratio, or, evenly spaced or
      not above 0, the same difference.

    >>> edge("rho", ["0.05", "0.1"], [0.05, 0.1], 1).wider
    ('0.05', '0.1', '0.2', '0.4')
    """
    order = sorted(range(len(numbers)), key=lambda i: numbers[i])
    place = order.index(best)
    if len(order) < 2 or place not in (0, len(order) - 1):
        return None
    side = "smallest" if place == 0 else "largest"
    inner = numbers[order[1 if place == 0 else -2]]
    beyond = _beyond(sorted(numbers), numbers[best], inner)
    whole = all(text.lstrip("+-").isdecimal() for text in texts)
    spelled = (lambda x: str(round(x))) if whole else (lambda x: f"{x:.6g}")
    known = {spelled(n) for n in numbers}
    inside = [x for x in beyond if accepted is None or x in accepted]
    new = [t for t in dict.fromkeys(map(spelled, inside)) if t not in known]
    if not new:
        return None
    kept = [texts[i] for i in (order[:2] if place == 0 else order[-2:])]
    wider = [*reversed(new), *kept] if place == 0 else [*kept, *new]
    return Edge(name, texts[best], side, tuple(wider))


def _beyond(numbers: list[float], best: float, inner: float) -> list[float]:
    gaps = [b - a for a, b in itertools.pairwise(numbers)]
    even = len(gaps) > 1 and max(gaps) - min(gaps) <= 1e-6 * max(gaps)
    if even or numbers[0] <= 0:
        return [best + (best - inner) * k for k in (1, 2)]
    return [best * (best / inner) ** k for k in (1, 2)]
