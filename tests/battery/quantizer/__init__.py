"""The battery of quantizers; importing it registers its checks."""

from battery.quantizer import checks
from battery.quantizer.subject import QuantizerSubject as Subject

__all__ = ["Subject", "checks"]
