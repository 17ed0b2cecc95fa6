"""The battery of diagnostics; importing it registers its checks."""

from battery.diagnostic import checks
from battery.diagnostic.subject import DiagnosticSubject as Subject

__all__ = ["Subject", "checks"]
