"""Ranges over which the options of a method are tuned."""

from __future__ import annotations

from jaxopt_lab.catalog.ranges import FACTORS, RANGES, Range
from jaxopt_lab.catalog.schema_transform import Transform
from jaxopt_lab.core.options import Interval


def tuned(row: Transform) -> dict[str, Range]:
    """The ranges over which the options of a method are tuned.

    Args:
      row: the method.

    Returns:
      Ranges by option, within the accepted values: those of the row's ``ranges``,
      else those of the option's name. Options without a range keep their defaults.

    >>> from jaxopt_lab import catalog
    >>> tuned(catalog.get("sam"))
    {'rho': Range(low=0.005, high=0.5, log=True)}
    """
    found = {}
    for name in row.numeric:
        default = row.details[name].default
        space = RANGES.get(name)
        if name in FACTORS and default > 0:
            factor = FACTORS[name]
            space = Range(default / factor, default * factor, log=True)
        space = row.ranges.get(name, space)
        if space is None:
            continue
        accepted = row.details[name].accepted
        if isinstance(accepted, Interval):
            low, high = max(space.low, accepted.low), min(space.high, accepted.high)
            space = space._replace(low=low, high=high)
        found[name] = space
    return found
