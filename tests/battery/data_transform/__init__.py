"""The battery of data transforms; importing it registers its checks."""

from battery.data_transform import checks
from battery.data_transform.subject import DataTransformSubject as Subject

__all__ = ["Subject", "checks"]
