"""The type and the bits in which the model of a run computes."""

from __future__ import annotations

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.lab.configuration import Configuration
from jaxopt_lab.lab.quant_recipe import quant_recipe


def check(configuration: Configuration) -> None:
    """Refuse two types at once, and bits that there are not.

    Args:
      configuration: the run.

    Raises:
      InputError: the model has a type of its own, or ``quantize`` names no bits.
    """
    if configuration.run.quantize:
        try:
            quant_recipe(configuration.run.quantize)
        except InputError as error:
            raise InputError(f"quantize={error}") from None
    precision = configuration.run.precision
    own = getattr(configuration.model, "dtype", "float32")
    if precision != "float32" and own != "float32":
        raise InputError(
            f"precision={precision} computes in bfloat16, model.dtype={own} otherwise; "
            "accepted: one of the two"
        )
