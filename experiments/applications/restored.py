"""Reports of restored photographs: the scores of methods, and patches side by side."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from experiments.applications.photographs import psnr
from experiments.harness.figures import grid
from experiments.harness.report import Table


def scores_table(
    title: str, first: tuple[str, str], scores: Mapping[str, np.ndarray], sizes: Any
) -> Table:
    """Means over seeds of the PSNR and SSIM of every method.

    Args:
      title: of the table.
      first: headings of its two first columns, names and numbers of parameters.
      scores: ``(seeds, 2)`` by name.
      sizes: numbers of parameters by name.

    Returns:
      The table.
    """
    rows = [
        (name, f"{sizes[name]:,}", f"{s[:, 0].mean():.2f}", f"{s[:, 1].mean():.3f}")
        for name, s in scores.items()
    ]
    return Table(title, (*first, "PSNR (dB)", "SSIM"), rows)


def patches_figure(images: Mapping[str, Any], truth: str, title: str) -> Any:
    """Patches in a row, with the PSNR of all but the true one.

    Args:
      images: ``(n, n)`` grey or ``(n, n, 3)`` by name, cut to 0 and 1.
      truth: name of the true one.
      title: of the figure.

    Returns:
      The figure.
    """
    clear = np.clip(images[truth], 0, 1)
    figure, (axes,) = grid(1, len(images), 2.1 * len(images), 2.6)
    for own, (name, image) in zip(axes, images.items(), strict=True):
        shown = np.clip(image, 0, 1)
        own.imshow(shown, cmap="gray", vmin=0, vmax=1)
        ratio = float(psnr(shown[None], clear[None])[0])
        own.set_title(name if name == truth else f"{name}\n{ratio:.1f} dB", fontsize=9)
        own.axis("off")
    figure.suptitle(title, fontsize=10)
    return figure
