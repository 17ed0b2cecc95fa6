"""The battery of decoders; importing it registers its checks."""

from battery.decoder import checks
from battery.decoder.subject import DecoderSubject as Subject

__all__ = ["Subject", "checks"]
