"""The battery of layers; importing it registers its checks."""

from battery.layer import checks
from battery.layer.subject import LayerSubject as Subject

__all__ = ["Subject", "checks"]
