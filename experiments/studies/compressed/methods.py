"""The optimizers that are compared; all without decay, all behind a clipped norm."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import optax

import jaxopt_lab as jol

_CLIP = 1.0
_FACTORED_FROM = 16


class Row(NamedTuple):
    """A method of the comparison.

    Attributes:
      name: as in tables.
      row: its row of the catalog.
      make: ``make(learning_rate)`` gives it.
    """

    name: str
    row: str
    make: Callable[[Any], optax.GradientTransformation]


def _row(
    name: str, row: str, make: Callable[[Any], optax.GradientTransformation]
) -> Row:
    return Row(
        name,
        row,
        lambda rate: optax.chain(optax.clip_by_global_norm(_CLIP), make(rate)),
    )


ADAMW = _row("AdamW", "adamw", lambda rate: optax.adamw(rate, weight_decay=0.0))
EIGHT = _row(
    "AdamW 8-bit", "adamw8bit", lambda rate: jol.adamw8bit(rate, weight_decay=0.0)
)
FOUR = _row(
    "AdamW 4-bit", "adamw4bit", lambda rate: jol.adamw4bit(rate, weight_decay=0.0)
)
LINEAR = _row(
    "AdamW, 8-bit linear v",
    "adamw_linear",
    lambda rate: jol.adamw_linear(
        rate,
        weight_decay=0.0,
        block="tensor",
        second_moment="linear",
        round_to_zero=True,
    ),
)
MICRO = _row("MicroAdam .01", "microadam", jol.microadam)
MICRO_DENSER = _row(
    "MicroAdam .1", "microadam", lambda rate: jol.microadam(rate, density=0.1)
)
LDADAM_8 = _row("LDAdam 8", "ldadam", lambda rate: jol.ldadam(rate, rank=8))
LDADAM_32 = _row("LDAdam 32", "ldadam", lambda rate: jol.ldadam(rate, rank=32))
GALORE = _row("GaLore 32", "galore", lambda rate: optax.contrib.galore(rate, rank=32))
ADAFACTOR = _row(
    "Adafactor",
    "adafactor",
    lambda rate: optax.adafactor(
        rate,
        min_dim_size_to_factor=_FACTORED_FROM,
        multiply_by_parameter_scale=False,
    ),
)

ALL = (
    ADAMW,
    EIGHT,
    FOUR,
    LINEAR,
    MICRO,
    MICRO_DENSER,
    LDADAM_8,
    LDADAM_32,
    GALORE,
    ADAFACTOR,
)
