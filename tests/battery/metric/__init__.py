"""The battery of metrics; importing it registers its checks."""

from typing import Any

from battery.metric import checks
from battery.metric.set_subject import SetSubject
from battery.metric.subject import MetricSubject

__all__ = ["Subject", "checks"]


def Subject(row: Any, *, apart: bool = False) -> MetricSubject:
    """The subject of a metric of mergeable sums or of two sets."""
    return (MetricSubject if row.mergeable else SetSubject)(row, apart=apart)
