"""The battery of controllers; importing it registers its checks."""

from battery.controller import checks
from battery.controller.subject import ControllerSubject as Subject

__all__ = ["Subject", "checks"]
