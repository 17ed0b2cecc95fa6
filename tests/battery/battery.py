"""All checks; importing this registers them."""

from battery import (
    checks_composition,
    checks_convergence,
    checks_cost,
    checks_derivatives,
    checks_devices,
    checks_programs,
    checks_types,
)
from battery.registry import CHECKS, failures

__all__ = [
    "CHECKS",
    "checks_composition",
    "checks_convergence",
    "checks_cost",
    "checks_derivatives",
    "checks_devices",
    "checks_programs",
    "checks_types",
    "failures",
]
