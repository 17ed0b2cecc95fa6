"""Random numbers of host searches, from the bits of a key."""

from __future__ import annotations

import math
from typing import Any

import jax
import numpy as np


def generator(key: jax.Array) -> np.random.Generator:
    """NumPy's generator, seeded by a key of JAX; no program is compiled.

    Args:
      key: typed key.

    Returns:
      The generator: the same key gives the same numbers.

    >>> one, two = (generator(jax.random.key(3)) for _ in range(2))
    >>> one.random() == two.random()
    True
    """
    return np.random.default_rng(np.asarray(jax.random.key_data(key)).ravel().tolist())


def worst_if_nan(score: Any) -> float:
    """A score by which candidates are ordered: NaN is below all others.

    Args:
      score: a number.

    Returns:
      The number, or minus infinity.

    >>> worst_if_nan(float("nan"))
    -inf
    """
    return -math.inf if math.isnan(score) else float(score)
