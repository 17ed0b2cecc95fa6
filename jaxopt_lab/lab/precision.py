"""The type and the bits in which the model of a run computes."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from typing import Any

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.lab.configuration import Configuration
from jaxopt_lab.lab.quant_recipe import quant_recipe
from jaxopt_lab.lab.run_options import RunOptions


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
        try:
            re.compile(configuration.run.quantize_keep)
        except re.error as error:
            raise InputError(
                f"quantize_keep={configuration.run.quantize_keep}: {error}; accepted: "
                "a regular expression"
            ) from None
    precision = configuration.run.precision
    own = getattr(configuration.model, "dtype", "float32")
    if precision != "float32" and own != "float32":
        raise InputError(
            f"precision={precision} computes in bfloat16, model.dtype={own} otherwise; "
            "accepted: one of the two"
        )


def quantized(run: RunOptions, apply: Callable[..., Any]) -> Callable[..., Any]:
    """The model of a run with the products that ``quantize`` rounds.

    Args:
      run: the options, with ``quantize``.
      apply: the model.

    Returns:
      The model; a kernel that is not reached is an error that names ``quantize_keep``.
    """
    recipe = dataclasses.replace(quant_recipe(run.quantize), keep=run.quantize_keep)
    made = recipe.model(apply)

    def called(*arguments: Any, **keywords: Any) -> Any:
        try:
            return made(*arguments, **keywords)
        except InputError as error:
            text = re.sub(r"\bkeep=", "quantize_keep=", str(error))
            raise InputError(text) from None

    return called
