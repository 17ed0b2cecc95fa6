"""Labels that are no classes, refused in one line where their values are known."""

from __future__ import annotations

from collections.abc import Mapping

import jax
import numpy as np

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.known_values import known_values, out_of_range


def check_labels(data: Mapping[str, jax.Array], where: jax.Array | None = None) -> None:
    """Refuse labels that are no classes, where their values are known.

    Args:
      data: ``{"outputs": (B, C), "targets": (B,)}``.
      where: weights; the label of an example of weight 0 does not matter.

    Raises:
      InputError: a label is below 0 or not below the number of classes. Traced labels
        are not looked at.

    >>> check_labels({"outputs": np.zeros((1, 2)), "targets": np.array([1])})
    """
    if "outputs" not in data or "targets" not in data:
        return
    labels = data["targets"]
    if np.ndim(data["outputs"]) != 2 or np.ndim(labels) != 1:
        return
    known = known_values(labels)
    weights = None if where is None else known_values(where)
    if known is None or (where is not None and weights is None):
        return
    if weights is not None and weights.shape != known.shape:
        weights = None
    count = data["outputs"].shape[1]
    wrong = out_of_range(known, count, weights)
    if wrong.size:
        raise InputError(
            f"targets must be classes from 0 to {count - 1}; got {wrong[0]}"
        )
