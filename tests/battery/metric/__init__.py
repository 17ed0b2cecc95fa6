"""The battery of metrics; importing it registers its checks."""

from battery.metric import checks
from battery.metric.subject import MetricSubject as Subject

__all__ = ["Subject", "checks"]
