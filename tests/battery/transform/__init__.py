"""The battery of the transformations; importing it registers its checks."""

from battery.transform import (
    checks_composition,
    checks_convergence,
    checks_cost,
    checks_derivatives,
    checks_devices,
    checks_programs,
    checks_sweeps,
    checks_types,
)
from battery.transform.subject import Subject

__all__ = [
    "Subject",
    "checks_composition",
    "checks_convergence",
    "checks_cost",
    "checks_derivatives",
    "checks_devices",
    "checks_programs",
    "checks_sweeps",
    "checks_types",
]
