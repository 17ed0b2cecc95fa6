"""The battery of searches; importing it registers its checks."""

from battery.search import checks
from battery.search.subject import SearchSubject as Subject

__all__ = ["Subject", "checks"]
