"""Labels that are no classes, refused in one line where their values are known."""

from __future__ import annotations

from collections.abc import Mapping

import jax
import numpy as np
from jax.core import Tracer

from jaxopt_lab.core.errors import InputError


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
    if isinstance(labels, Tracer) or isinstance(where, Tracer):
        return
    if np.ndim(data["outputs"]) != 2 or np.ndim(labels) != 1:
        return
    count, labels = data["outputs"].shape[1], np.asarray(labels)
    wrong = (labels < 0) | (labels >= count)
    if where is not None and np.shape(where) == labels.shape:
        wrong = wrong & (np.asarray(where) != 0)
    if np.any(wrong):
        raise InputError(
            f"targets must be classes from 0 to {count - 1}; got {labels[wrong][0]}"
        )
