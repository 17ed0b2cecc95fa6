"""The claims about the locality of denoisers, and their tables."""

from __future__ import annotations

import numpy as np

from experiments.harness.report import Report, Table
from experiments.harness.verdicts import Claim
from experiments.studies.denoiser_locality.config import Config
from experiments.studies.denoiser_locality.measure import Measured

ORDERS = ("pixels in order", "pixels shuffled")
_ENOUGH = (0.5, float("inf"))


def claims(measured: Measured, config: Config) -> list[Claim]:
    """The claims with their evidence, for both orders of the pixels.

    See ``ClaimedExperiment.claims``.

    Returns:
      The claims; agreements are means over the levels.
    """
    del config
    square = best_squares(measured.squares)
    found = []
    for i, where in enumerate(ORDERS):
        of = {n: x[i].mean(axis=0) for n, x in measured.agreement.items()}
        patch = square[i].mean(axis=0)
        found += [
            Claim("local agrees more than square patches", where, of["local"] - patch),
            Claim(
                "square patches agree more than optimal", where, patch - of["optimal"]
            ),
            Claim("local agrees more than wiener", where, of["local"] - of["wiener"]),
            Claim(
                "derivatives correlate with the filter above 0.5 at middle noise",
                where,
                measured.correlation[i],
                _ENOUGH,
            ),
        ]
    return found


def best_squares(values: np.ndarray) -> np.ndarray:
    """The agreement at the radius that is best for the other seeds.

    Args:
      values: ``(radii, orders, levels, seeds)``.

    Returns:
      ``(orders, levels, seeds)``.
    """
    others = values.sum(axis=-1, keepdims=True) - values
    best = others.argmax(axis=0)
    return np.take_along_axis(values, best[None], axis=0)[0]


def report(measured: Measured, config: Config) -> Report:
    """Numbers, a table and a figure; see ``Experiment.report``."""
    from experiments.studies.denoiser_locality import figures

    curves = {**measured.agreement, "square": best_squares(measured.squares)}
    rows = [
        (where, f"{a:g}", *(f"{c[i, j].mean():.3f}" for c in curves.values()))
        for i, where in enumerate(ORDERS)
        for j, a in enumerate(config.alphas)
    ]
    title = f"share of the networks' variance explained, {config.seeds} seeds"
    tables = [Table(title, ("network", "alpha", *curves), rows)]
    rows = [
        (where, f"{config.alphas[p]:g}", f"{measured.correlation[i, j].mean():.3f}")
        for i, where in enumerate(ORDERS)
        for j, p in enumerate(config.middle)
    ]
    title = "correlation of derivatives with the Wiener filter"
    tables.append(Table(title, ("network", "alpha", "mean over seeds"), rows))
    drawn = {"agreement": figures.curves(curves, config)}
    return Report({"measured": measured}, tables, drawn)
