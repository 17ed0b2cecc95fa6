"""A sound quantizer, small enough to be broken in one place."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp

from jaxopt_lab.catalog.examples.matrices import coarse
from jaxopt_lab.catalog.schema import Neutral, Quantizer
from jaxopt_lab.quantize import QArray, QuantizerReport, calibration_error
from jaxopt_lab.quantize import round_to_nearest as part


def nearest(weight, gram=None, codec: str = "linear", *, bits: int = 8):
    """Rounding to the nearest.

    Args:
      weight: a matrix.
      gram: gram matrix of its inputs.
      codec: name of the grid.
      bits: bits of a code.

    Returns:
      Codes and report.

    >>> nearest(jnp.ones((1, 1)), bits=2)[0].qvalue.tolist()
    [[1]]
    """
    return part(weight, gram, codec, bits=bits)


TOY = Quantizer(
    name="nearest",
    summary="the toy",
    build=nearest,
    reduces_to=Neutral({"bits": 8}, jnp.asarray),  # type: ignore[arg-type]
    options=("codec", "bits"),
    example=coarse,
    bits="bits",
    calibration=False,
    bytes="bits / 8",
)
TOYS = (TOY,)
Coded = Callable[[QArray, Any], QArray]


def with_codes(change: Coded, *, honest: bool = True, **header: Any) -> Quantizer:
    """The toy whose codes go through ``change(coded, weight)``.

    The report tells the errors of the changed codes where ``honest``.
    """

    def build(weight, gram=None, codec: str = "linear", *, bits: int = 8):
        coded, report = part(weight, gram, codec, bits=bits)
        coded = change(coded, weight)
        if honest:
            error = calibration_error(weight, coded.dequantize(), gram)
            report = report._replace(error=error)
        return coded, report

    build.__doc__ = nearest.__doc__
    return dataclasses.replace(TOY, name="broken", build=build, **header)


def with_report(
    change: Callable[[QuantizerReport], QuantizerReport], **header: Any
) -> Quantizer:
    """The toy whose report goes through ``change``."""

    def build(weight, gram=None, codec: str = "linear", *, bits: int = 8):
        coded, report = part(weight, gram, codec, bits=bits)
        return coded, change(report)

    build.__doc__ = nearest.__doc__
    return dataclasses.replace(TOY, name="broken", build=build, **header)


def broken(change: Callable[[Any, Any], Any], **header: Any) -> Quantizer:
    """The toy whose scales go through ``change(scale, weight)``."""

    def scaled(coded: QArray, weight: Any) -> QArray:
        return coded._replace(scale=change(coded.scale, jnp.asarray(weight)))

    return with_codes(scaled, **header)
