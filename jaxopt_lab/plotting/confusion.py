"""Confusion matrices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from jaxopt_lab.core.errors import InputError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_NUMBERED = 20


def confusion_matrix(counts: ArrayLike, names: Sequence[str] = ()) -> Figure:
    """Counts of true and predicted classes; shades are shares of the true class.

    Args:
      counts: ``(classes, classes)``, by true and by predicted class.
      names: of the classes; their numbers by default.

    Returns:
      The figure. Up to 20 classes each cell shows its count, except zeros.

    Raises:
      InputError: the counts are no square matrix, or the names are not as many.

    >>> figure = confusion_matrix([[3, 1], [0, 2]])
    >>> [text.get_text() for text in figure.axes[0].texts]
    ['3', '1', '2']
    """
    matrix = np.asarray(counts)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or not matrix.size:
        raise InputError(f"counts must be a square matrix; got shape {matrix.shape}")
    classes = len(matrix)
    labels = list(names) or [str(i) for i in range(classes)]
    if len(labels) != classes:
        raise InputError(f"{classes} classes have {len(labels)} names")
    from matplotlib.figure import Figure

    numbered = classes <= _NUMBERED
    side = 1.6 + (0.42 * classes if numbered else 0.16 * classes)
    figure = Figure(figsize=(side + 0.6, side), layout="constrained")
    axes = figure.subplots()
    share = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    shown = axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    figure.colorbar(shown, ax=axes, shrink=0.7, label="share of the true class")
    if numbered:
        for i, j in zip(*np.nonzero(matrix), strict=True):
            axes.text(
                j,
                i,
                f"{matrix[i, j]:,}",
                ha="center",
                va="center",
                fontsize="small",
                color="white" if share[i, j] > 0.5 else "black",
            )
    every = 1 if numbered else max(1, classes // 20)
    places = np.arange(0, classes, every)
    upright = max(map(len, labels)) > 3
    axes.set_xticks(places, labels[::every], rotation=90 if upright else 0)
    axes.set_yticks(places, labels[::every])
    axes.set_xlabel("predicted class")
    axes.set_ylabel("true class")
    return figure
