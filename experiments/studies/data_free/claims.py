"""The claims about calibration without data, and their table."""

from __future__ import annotations

import numpy as np

from experiments.harness.report import Report, Table
from experiments.harness.verdicts import Claim
from experiments.studies.data_free import config as papers
from experiments.studies.data_free.config import Config
from experiments.studies.data_free.measure import (
    GENIE,
    KINDS,
    NONE,
    NORMAL,
    REAL,
    ZEROQ,
    Measured,
)

_INF = float("inf")


def claims(measured: Measured, config: Config) -> list[Claim]:
    """The claims with their evidence, bits by bits.

    See ``ClaimedExperiment.claims``.
    """

    def gain(text: str, where: str, values: np.ndarray, paper: str, least: float = 0):
        accepted = least, _INF
        return Claim(text, where, values, accepted, scale=100, unit=" %", paper=paper)

    found = []
    for bits, methods in measured.accuracy.items():
        joint, fixed = methods["joint step"], methods["fixed step"]
        where = f"{bits} bits"
        within = "accuracy less than a point below that on real inputs"
        found += [
            gain(
                "accuracy above that on normal noise",
                f"ZeroQ's inputs, {where}",
                joint[ZEROQ] - joint[NORMAL],
                papers.ZEROQ,
            ),
            gain(
                "accuracy above that of rounding without inputs",
                f"ZeroQ's inputs, {where}",
                joint[ZEROQ] - methods["nearest"][NONE],
                papers.ZEROQ,
            ),
            gain(
                within,
                f"ZeroQ's inputs, {where}",
                joint[ZEROQ] - joint[REAL],
                papers.ZEROQ,
                -0.01,
            ),
            gain(
                within,
                f"Genie's inputs, {where}",
                joint[GENIE] - joint[REAL],
                papers.GENIE,
                -0.01,
            ),
            gain(
                "accuracy above that on ZeroQ's",
                f"Genie's inputs, {where}",
                joint[GENIE] - joint[ZEROQ],
                papers.GENIE,
            ),
            gain(
                "accuracy above that of rounding with a fixed step",
                f"joint step on Genie's inputs, {where}",
                joint[GENIE] - fixed[GENIE],
                papers.GENIE,
            ),
        ]
    of = measured.allocated
    found.append(
        gain(
            "accuracy above that of equal bits at the same size",
            f"bits by sensitivities, {config.mean_bits} in the mean",
            of["by sensitivities"] - of["uniform"],
            papers.ZEROQ,
        )
    )
    return found


def report(measured: Measured, config: Config) -> Report:
    """Numbers, tables and a figure; see ``Experiment.report``."""
    from experiments.studies import panels

    percent = lambda x: f"{100 * np.mean(x):.1f} %"
    rows = [
        (bits, method, *(percent(of[k]) if k in of else "-" for k in (*KINDS, NONE)))
        for bits, methods in measured.accuracy.items()
        for method, of in methods.items()
    ]
    table = Table(
        f"digits, test accuracy, activations in {config.activations} bits; in floats "
        f"{percent(measured.before)}; means over {config.seeds} seeds",
        ("bits", "rounding", *KINDS, NONE),
        rows,
    )
    allocated = Table(
        f"bits of layers at {config.mean_bits} in the mean, activations in 8; by "
        f"sensitivities on ZeroQ's inputs {measured.bits.tolist()}",
        ("bits", "test accuracy"),
        [(n, percent(x)) for n, x in measured.allocated.items()],
    )
    drawn = {
        f"{bits} bits of a weight": {
            **{f"{k}, {m}": of[k] for m, of in methods.items() for k in KINDS},
            NONE: methods["nearest"][NONE],
        }
        for bits, methods in measured.accuracy.items()
    }
    figure = panels.dots(drawn, 0.3, label="test accuracy, %", scale=100)
    return Report({"measured": measured}, [table, allocated], {"accuracy": figure})
