"""The battery of losses; importing it registers its checks."""

from battery.loss import checks
from battery.loss.subject import LossSubject as Subject

__all__ = ["Subject", "checks"]
