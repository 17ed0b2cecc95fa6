"""The battery of initializers; importing it registers its checks."""

from battery.initializer import checks
from battery.initializer.subject import InitializerSubject as Subject

__all__ = ["Subject", "checks"]
