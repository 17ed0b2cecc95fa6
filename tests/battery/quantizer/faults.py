"""Broken quantizers."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax.numpy as jnp

from battery.faults import plant
from battery.parts.common_faults import plant_common
from battery.quantizer.checks import WITHOUT
from battery.quantizer.toy import TOY, broken, nearest, with_codes, with_report
from jaxopt_lab.catalog.examples.matrices import coarse


def documented(text: str) -> Any:
    """The toy with another docstring; its own where there is none."""

    def build(weight, gram=None, codec: str = "linear", *, bits: int = 8):
        return nearest(weight, gram, codec, bits=bits)

    build.__doc__ = text or nearest.__doc__
    return dataclasses.replace(TOY, name="documented", build=build)


plant_common(
    "quantizer", broken, documented=documented, example=coarse, without=WITHOUT
)


def too_large(coded, weight):
    return coded._replace(qvalue=coded.qvalue + jnp.asarray(2, coded.qvalue.dtype))


def floats(coded, weight):
    return coded._replace(qvalue=coded.qvalue.astype(coded.scale.dtype))


def quarter(coded, weight):
    return coded._replace(qvalue=coded.qvalue // 4, scale=coded.scale * 4)


def clipped(coded, weight):
    scale = coded.scale / 2
    codes = jnp.clip(jnp.round(jnp.asarray(weight, scale.dtype) / scale), -8, 7)
    return coded._replace(qvalue=codes.astype(coded.qvalue.dtype), scale=scale)


def truncated(coded, weight):
    codes = jnp.trunc(jnp.asarray(weight, coded.scale.dtype) / coded.scale * 0.999)
    return coded._replace(qvalue=codes.astype(coded.qvalue.dtype))


def first_column(coded, weight):
    first = jnp.maximum(coded.qvalue[:, :1] - 1, -7)
    codes = jnp.concatenate([first, coded.qvalue[:, 1:]], axis=1)
    return coded._replace(qvalue=codes.astype(coded.qvalue.dtype))


def zero_to_one(coded, weight):
    zero = jnp.max(jnp.abs(coded.qvalue), axis=1, keepdims=True) == 0
    one = jnp.ones_like(coded.qvalue)
    return coded._replace(qvalue=jnp.where(zero, one, coded.qvalue))


def uneven(coded, weight):
    flat = jnp.ptp(jnp.asarray(weight), axis=1, keepdims=True) == 0
    lower = (jnp.arange(weight.shape[1])[None] == 1) & flat & (coded.qvalue > 0)
    step = lower.astype(coded.qvalue.dtype)
    return coded._replace(qvalue=coded.qvalue - step)


def column_scales(coded, weight):
    columns = 1 + jnp.arange(weight.shape[1], dtype=coded.scale.dtype)[None] / 100
    return coded._replace(scale=coded.scale * columns)


FAULTS = (
    ("out of range", "codes_in_range", "codes from", with_codes(too_large)),
    ("floating codes", "codes_in_range", "the codes are float", with_codes(floats)),
    ("a quarter", "codes_in_range", "only codes from", with_codes(quarter)),
    ("clipped", "idempotent", "other codes", with_codes(clipped)),
    ("truncated", "never_worse", "rounding to the nearest", with_codes(truncated)),
    (
        "another error",
        "report",
        "another error",
        with_report(lambda r: r._replace(error=0.9 * r.error)),
    ),
    (
        "more bytes",
        "nbytes",
        "the row says 0.5",
        with_report(lambda r: r._replace(nbytes=2 * r.nbytes)),
    ),
    ("first column", "permutation", "order of the columns", with_codes(first_column)),
    ("zero to one", "flat_rows", "zero row is not zero", with_codes(zero_to_one)),
    ("uneven", "flat_rows", "constant row is not", with_codes(uneven)),
    ("column scales", "integer_product", "another product", with_codes(column_scales)),
)
for name, aim, words, row in FAULTS:
    plant("quantizer", name, aim, words, row)
