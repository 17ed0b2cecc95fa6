"""The claims about depth, and their table."""

from __future__ import annotations

import numpy as np

from experiments.harness.report import Report, Table
from experiments.harness.verdicts import Claim
from experiments.studies.depth.config import Config
from experiments.studies.depth.measure import Measured

_MIX, _LNS = "Li et al. 2024, arXiv:2412.13795", "Sun et al. 2025, arXiv:2502.05795"
_SCALES = "On residual network depth, 2025, from the abstract"
_PAPERS = {"mix": _MIX, "lns": _LNS}


def claims(measured: Measured, config: Config) -> list[Claim]:
    """The claims with their evidence, each against pre-norm.

    Args:
      measured: the measurements.
      config: the size of the study.

    Returns:
      The claims.
    """
    del config
    gains = {arm: measured.losses["pre"] - own for arm, own in measured.losses.items()}
    found = [
        Claim("the loss is below that of pre-norm", arm, gain, paper=_paper(arm))
        for arm, gain in gains.items()
        if arm != "pre"
    ]
    for arm, paper in _PAPERS.items():
        more = measured.dropped[arm] - measured.dropped["pre"]
        text = "a deep block saves more loss than that of pre-norm"
        found.append(Claim(text, arm, more, paper=paper))
    more = np.log(measured.ratios["mix"] / measured.ratios["pre"])
    text = "deep blocks have a larger part of the gradient than those of pre-norm"
    return [*found, Claim(text, "mix", more, paper=_MIX)]


def _paper(arm: str) -> str:
    return _PAPERS.get(arm, _SCALES)


def report(measured: Measured, config: Config) -> Report:
    """Numbers and a table; see ``Experiment.report``."""
    rows = [
        (
            arm,
            f"{losses.mean():.4f}",
            f"{np.mean(losses - measured.losses['pre']):+.4f}",
            f"{np.mean(measured.dropped[arm]):+.4f}",
            f"{np.exp(np.mean(np.log(measured.ratios[arm]))):.3g}",
        )
        for arm, losses in measured.losses.items()
    ]
    table = Table(
        f"Markov chain, {config.depth} blocks, {config.steps} steps, means over "
        f"{config.seeds} seeds",
        ("arm", "loss", "over pre", "without a deep block", "gradient, deep / shallow"),
        rows,
    )
    return Report({"measured": measured}, [table])
