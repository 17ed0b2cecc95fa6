"""The battery of estimators; importing it registers its checks."""

from battery.estimator import checks
from battery.estimator.subject import EstimatorSubject as Subject

__all__ = ["Subject", "checks"]
