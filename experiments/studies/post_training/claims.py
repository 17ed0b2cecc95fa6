"""The claims about quantization after the training, and their table."""

from __future__ import annotations

import numpy as np

from experiments.harness.report import Report, Table
from experiments.harness.verdicts import Claim
from experiments.studies.post_training.config import Config
from experiments.studies.post_training.measure import Measured
from jaxopt_lab import catalog

_INF = float("inf")
_PAIRS = (
    ("gptq", "nearest_gptq"),
    ("quantease", "gptq"),
    ("genie", "nearest_linear"),
    ("jlcm", "nearest_linear"),
)
"""A method, and one whose outputs should have the larger error."""


def claims(measured: Measured, config: Config) -> list[Claim]:
    """The claims with their evidence, bits by bits.

    See ``ClaimedExperiment.claims``.
    """
    found = []
    for bits in map(str, config.bits):
        error, share = measured.error[bits], measured.accuracy[bits]
        for method, other in _PAIRS:
            if method not in error:
                continue
            found.append(
                Claim(
                    f"error of the outputs below that of {other}",
                    f"{method}, {bits} bits",
                    np.log(error[other]) - np.log(error[method]),
                    paper=_paper(method),
                )
            )
        if int(bits) >= 4:
            found.append(
                Claim(
                    "accuracy within a point of that without rounding",
                    f"gptq, {bits} bits",
                    share["gptq"] - measured.before,
                    (-0.01, _INF),
                    scale=100,
                    unit=" %",
                    paper=_paper("gptq"),
                )
            )
    return found


def _paper(method: str) -> str:
    return catalog.get(method, "quantizer").paper


def report(measured: Measured, config: Config) -> Report:
    """Numbers, a table and a figure; see ``Experiment.report``."""
    from experiments.studies.post_training import figures

    rows = [
        (
            bits,
            method,
            f"{100 * measured.accuracy[bits][method].mean():.2f} %",
            f"{np.exp(np.log(measured.error[bits][method]).mean()):.2e}",
        )
        for bits in map(str, config.bits)
        for method in measured.error[bits]
    ]
    table = Table(
        f"digits, means over {config.seeds} seeds; without rounding "
        f"{100 * measured.before.mean():.2f} %",
        ("bits", "method", "test accuracy", "relative error of outputs"),
        rows,
    )
    drawn = {"errors": figures.errors(measured)}
    return Report({"measured": measured}, [table], drawn)
