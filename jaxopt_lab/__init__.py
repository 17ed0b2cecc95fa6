"""jaxopt_lab: methods of the literature as composable optax transformations."""

from jaxopt_lab._version import __version__

__all__ = ["__version__"]
