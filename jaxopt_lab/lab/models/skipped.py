"""Blocks of a transformer that do not run at later positions (SkipDecode)."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.inference.exit_schedule import active_layers, exit_schedule
from jaxopt_lab.lab.models.configs import TransformerConfig


# By identity: a module keeps it among its constants, which flax compares.
@dataclasses.dataclass(frozen=True, eq=False)
class Active:
    """The positions at which each block runs, constants of the program.

    Attributes:
      table: booleans ``(context, depth)``.
    """

    table: np.ndarray

    def of(self, index: int) -> np.ndarray:
        """Booleans by position, of a block."""
        return self.table[:, index]


def active_of(config: TransformerConfig) -> Active | None:
    """The positions at which each block runs.

    Args:
      config: of the model.

    Returns:
      They; ``None`` where all run at all positions.

    Raises:
      InputError: the numbers of layers do not fit.
    """
    if not config.max_layers:
        if config.min_layers:
            raise InputError(
                f"transformer: min_layers={config.min_layers} needs max_layers"
            )
        return None
    schedule = exit_schedule(
        config.context,
        layers=config.depth,
        max_layers=config.max_layers,
        min_layers=config.min_layers or config.max_layers,
        warmup=config.warmup_layers,
    )
    given = {"layers": config.depth, "warmup": config.warmup_layers}
    return Active(active_layers(schedule, **given))


def where_active(
    active: Active | None, y: jax.Array, x: jax.Array, index: int, places: Any
) -> jax.Array:
    """The output of a block, or its input at positions where it does not run.

    Args:
      active: of ``active_of``.
      y: the output, ``(B, T, width)``: it is computed at all positions.
      x: the input.
      index: of the block.
      places: positions ``(B or 1, T)``.

    Returns:
      As ``x``.
    """
    if active is None or active.of(index).all():
        return y
    here = jnp.asarray(active.of(index))[places]
    return jnp.where(here[..., None], y, x)
