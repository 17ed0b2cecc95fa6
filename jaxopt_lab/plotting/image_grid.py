"""Images with captions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from jaxopt_lab.core.errors import InputError

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def image_grid(
    images: Sequence[np.ndarray], captions: Sequence[str], *, columns: int = 8
) -> Figure:
    """Images in rows, each with a line above it.

    Args:
      images: ``(height, width)`` or ``(height, width, channels)`` with 1, 3 or 4
        channels, on any scale: each image fills the range from black to white.
      captions: one for each.
      columns: images in a row.

    Returns:
      The figure.

    Raises:
      InputError: there is no image, one has another shape, or the captions are not as
        many.

    >>> figure = image_grid([np.eye(4)] * 3, ["a", "b", "c"], columns=2)
    >>> [axes.get_title() for axes in figure.axes]
    ['a', 'b', 'c']
    """
    if not images or len(images) != len(captions):
        raise InputError(f"{len(images)} images have {len(captions)} captions")
    from matplotlib.figure import Figure

    columns = min(columns, len(images))
    rows = -(-len(images) // columns)
    # Fixed places: finding room for many axes costs seconds.
    width, height, top = 1.2, 1.5, 0.36  # inches of a cell, and of its caption
    figure = Figure(figsize=(width * columns, height * rows))
    for n, (image, caption) in enumerate(zip(images, captions, strict=True)):
        row, column = divmod(n, columns)
        place = (column + 0.04) / columns, (rows - row - 1 + 0.04) / rows
        size = 0.92 / columns, (1 - top / height - 0.04) / rows
        axes = figure.add_axes((*place, *size), xticks=[], yticks=[])
        axes.imshow(_shown(image), cmap="gray", interpolation="nearest")
        axes.set_title(caption, fontsize="x-small", pad=2)
        axes.set_axis_off()
    return figure


def _shown(image: np.ndarray) -> np.ndarray:
    pixels = np.asarray(image, np.float32)
    if pixels.ndim == 3 and pixels.shape[-1] == 1:
        pixels = pixels[..., 0]
    if pixels.ndim != 2 and not (pixels.ndim == 3 and pixels.shape[-1] in (3, 4)):
        raise InputError(f"cannot draw an image of shape {image.shape}")
    low, high = float(np.nanmin(pixels)), float(np.nanmax(pixels))
    return (pixels - low) / (high - low if high > low else 1.0)
