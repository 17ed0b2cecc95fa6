"""Gradient links that look around the point: ``g(w) -> g'(w)``."""

from jaxopt_lab.sharpness.sam import SamState, sam

__all__ = ["SamState", "sam"]
