"""Figures from result files; matplotlib is imported when one is drawn."""

from jaxopt_lab.plotting.curves import training_curves

__all__ = ["training_curves"]
