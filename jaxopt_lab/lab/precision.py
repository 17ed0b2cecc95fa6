"""The type in which the model of a run computes."""

from __future__ import annotations

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.lab.configuration import Configuration


def check(configuration: Configuration) -> None:
    """Refuse two types at once.

    Args:
      configuration: the run.

    Raises:
      InputError: the model has a type of its own.
    """
    precision = configuration.run.precision
    own = getattr(configuration.model, "dtype", "float32")
    if precision != "float32" and own != "float32":
        raise InputError(
            f"precision={precision} computes in bfloat16, model.dtype={own} otherwise; "
            "accepted: one of the two"
        )
