"""Eigenvalues and stable learning rates against the batch size."""

from __future__ import annotations

from typing import Any

import numpy as np

from experiments.harness import figures as style
from experiments.studies.batch_hessian.config import Config
from experiments.studies.batch_hessian.measure import Spectra
from experiments.studies.batch_hessian.slopes import halves, slopes

_COLORS = {
    "largest": style.BLUE,
    "smallest": style.ORANGE,
}
_LABELS = {"linearised": "linearised SGD, exact threshold"}


def against_batch_size(
    spectra: Spectra, rates: dict[str, np.ndarray], config: Config
) -> style.Figure:
    """Two panels with logarithmic axes: eigenvalues, and learning rates.

    Left: measured magnitudes as dots, one for each batch, the formula as a dashed
    line, the whole set's as a dotted one. Right: the largest stable rate of each seed
    as dots, their geometric mean as a line, the fitted slopes of the smaller and the
    larger batch sizes as dashed lines; beside them the exact threshold of the
    linearised SGD, a dot for each subsample.

    Args:
      spectra: eigenvalues.
      rates: largest stable learning rates by optimizer.
      config: the size of the experiment.

    Returns:
      The figure.
    """
    figure, ((left, right),) = style.grid(1, 2, 11.0, 5.4)
    for i, name in enumerate(("largest", "smallest")):
        _eigenvalues(left, name, getattr(spectra, name), spectra, i, config)
    left.set_ylabel("magnitude of the eigenvalue")
    left.set_title(f"Hessian of a batch, P = {spectra.num_params}")
    for name, values in rates.items():
        _rates(right, name, values, config)
    right.set_ylabel("largest stable learning rate")
    right.set_title(f"training of {config.steps} steps")
    for axes in (left, right):
        axes.set_xscale("log", base=2)
        axes.set_yscale("log")
        axes.set_xlabel("batch size")
        style.tidy(axes)
        # Below the axes: inside, it always covers some line.
        axes.legend(
            frameon=False,
            fontsize="small",
            loc="upper center",
            ncols=2,
            bbox_to_anchor=(0.5, -0.14),
        )
    return figure


def _eigenvalues(
    axes: Any, name: str, values: np.ndarray, spectra: Spectra, i: int, config: Config
) -> None:
    color, sizes = _COLORS[name], config.batch_sizes
    size = np.abs(values)
    axes.plot(sizes, size, ".", color=color, alpha=0.5)
    axes.plot(sizes, size.mean(axis=1), color=color, label=f"{name}, measured")
    axes.plot(
        sizes,
        np.abs(spectra.predicted[i]),
        "--",
        color=color,
        label=f"{name}, additive formula",
    )
    axes.axhline(
        abs(spectra.whole[i]), color=color, linestyle=":", label=f"{name}, whole set"
    )


def _rates(axes: Any, name: str, values: np.ndarray, config: Config) -> None:
    look, sizes = style.look_of([name])[name], np.array(config.batch_sizes)
    color = look.color
    axes.plot(sizes, values, ".", color=color, alpha=0.5)
    middle = np.exp(np.nanmean(np.log(values), axis=1))
    texts = []
    for part in halves(config):
        found = slopes(config.batch_sizes[part], values[part])
        fitted = float(found.mean()) if found.size else float("nan")
        texts.append(f"{fitted:.2f}")
        if np.isnan(fitted):
            continue
        x = sizes[part]
        centre = np.exp(np.mean(np.log(x)))
        height = np.exp(np.mean(np.log(middle[part])))
        axes.plot(x, height * (x / centre) ** fitted, "--", color=color, linewidth=1.0)
    label = f"{_LABELS.get(name, name)}; slopes {', '.join(texts)}"
    axes.plot(sizes, middle, label=label, **look.line())
