"""The claims about WINNER's noise, and their table."""

from __future__ import annotations

from experiments.harness.report import Report, Table
from experiments.harness.verdicts import Claim
from experiments.studies.implicit_images.config import Config
from experiments.studies.implicit_images.measure import Measured

_INF = float("inf")
_RANGES = {"low": (-1.0, _INF), "high": (10.0, _INF)}
_WORDS = {
    "low": "WINNER loses at most 1 dB to SIREN",
    "high": "WINNER gains more than 10 dB over SIREN",
}


def claims(measured: Measured, config: Config) -> list[Claim]:
    """The claims with their evidence.

    Args:
      measured: the measurements.
      config: the size of the study.

    Returns:
      The claims: of the formula's scale, and of the best of the grid.
    """
    none, formula = (config.factors.index(f) for f in (0.0, 1.0))
    found = []
    for band, values in measured.psnr.items():
        gain = values - values[:, none : none + 1]
        for where, own in (("formula", gain[:, formula]), ("grid", gain.max(axis=1))):
            text, accepted = _WORDS[band], _RANGES[band]
            place = f"{band} band, scale by the {where}"
            found.append(Claim(text, place, own, accepted, unit=" dB"))
    return found


def report(measured: Measured, config: Config) -> Report:
    """Numbers and a table; see ``Experiment.report``."""
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
    return Report({"measured": measured}, [table])
