"""Settings of a method chosen on a validation split: by a search, or on a grid."""

from jaxopt_lab.lab.tuning.search import best_settings
from jaxopt_lab.lab.tuning.settings import numeric_names, with_values

__all__ = ["best_settings", "numeric_names", "with_values"]
