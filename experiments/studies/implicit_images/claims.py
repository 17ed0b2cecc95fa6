"""The claims about WINNER's noise, their table and their figure."""

from __future__ import annotations

import numpy as np

from experiments.harness.report import Report, Table
from experiments.harness.verdicts import Claim
from experiments.studies import panels
from experiments.studies.implicit_images.config import Config
from experiments.studies.implicit_images.measure import Measured

_INF = float("inf")
_RANGES = {"low": (-1.0, _INF), "high": (10.0, _INF)}
_WORDS = {
    "low": "WINNER loses at most 1 dB to SIREN",
    "high": "WINNER gains more than 10 dB over SIREN",
}


def claims(measured: Measured, config: Config) -> list[Claim]:
    """The claims with their evidence; see ``ClaimedExperiment.claims``.

    Returns:
      The claims: of the formula's scale, and of the scale that is best for each signal
      among those with noise. The ratio is that of the fitted samples, which who fits
      them sees, so that choosing by it takes no other data.
    """
    none, formula = (config.factors.index(f) for f in (0.0, 1.0))
    found = []
    for band, values in measured.psnr.items():
        gain = values - values[:, none : none + 1]
        best = np.delete(gain, none, axis=1).max(axis=1)
        for where, own in (("formula", gain[:, formula]), ("grid", best)):
            text, accepted = _WORDS[band], _RANGES[band]
            place = f"{band} band, scale by the {where}"
            found.append(Claim(text, place, own, accepted, unit=" dB"))
    return found


def report(measured: Measured, config: Config) -> Report:
    """Numbers, a table and a figure; see ``Experiment.report``."""
    rows = [
        (
            band,
            f"{measured.centroids[band].mean():.3f}",
            *(f"{value:.1f}" for value in values.mean(axis=0)),
        )
        for band, values in measured.psnr.items()
    ]
    table = Table(
        f"PSNR in dB by the factor on WINNER's scales, {config.steps} steps, means "
        f"over {config.seeds} seeds",
        ("band", "centroid", *(f"{f:g}" for f in config.factors)),
        rows,
    )
    named = {
        f"{band} band": {
            "SIREN" if factor == 0 else f"WINNER, scales x {factor:g}": values[:, i]
            for i, factor in enumerate(config.factors)
        }
        for band, values in measured.psnr.items()
    }
    figure = panels.dots(named, label="peak signal-to-noise ratio in dB")
    return Report({"measured": measured}, [table], {"psnr": figure})
