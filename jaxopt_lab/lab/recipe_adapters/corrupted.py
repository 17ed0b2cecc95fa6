"""Corrupted images of a run's set: a target to adapt to, or images to be told apart."""

from __future__ import annotations

from typing import Any, get_args

import jax
import jax.numpy as jnp

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.options import Option
from jaxopt_lab.core.pixels import to_float
from jaxopt_lab.data.corruptions import SEVERITY, Name, corrupt

NAMES: tuple[str, ...] = get_args(Name)
SEVERITY_OPTION = Option(3, "of the corruption, from 0 to 5", SEVERITY, True)


def corrupted(key: jax.Array, images: Any, name: Any, severity: int) -> jax.Array:
    """Images under a corruption of ``data.corruptions``.

    Args:
      key: of the draws.
      images: ``(B, H, W, C)``, from 0 to 1; integers are divided by 255.
      name: of the corruption.
      severity: from 1 to 5.

    Returns:
      The images.

    Raises:
      InputError: they are no images, or have other values, which would be clipped.
    """
    given = to_float(jnp.asarray(images))
    low, high = float(jnp.min(given)), float(jnp.max(given))
    if given.ndim != 4 or low < 0 or high > 1:
        raise InputError(
            f"recipe.corruption={name} is of images (B, H, W, C) from 0 to 1; got "
            f"shape {given.shape}, from {low:g} to {high:g}"
        )
    return corrupt(key, given, name=name, severity=severity)
