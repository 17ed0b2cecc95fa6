"""The claims about linear attention, and their table."""

from __future__ import annotations

import numpy as np

from experiments.harness.report import Report, Table
from experiments.harness.verdicts import Claim
from experiments.studies.linear_attention.config import Config
from experiments.studies.linear_attention.measure import Measured
from experiments.studies.scores import rate_text, score

_INF = float("inf")


def correlations(measured: Measured, config: Config) -> dict[str, np.ndarray]:
    """The correlations at the rate of softmax, of the seeds that did not choose it.

    Args:
      measured: the measurements.
      config: the size of the study.

    Returns:
      ``{attention: (seeds,)}``.
    """
    own = config.rates.index(score(measured.accuracy["softmax"], config.rates).rate)
    half = config.seeds // 2
    return {n: values[own, half:] for n, values in measured.correlation.items()}


def claims(measured: Measured, config: Config) -> list[Claim]:
    """The claims with their evidence; see ``ClaimedExperiment.claims``."""
    found = correlations(measured, config)
    right = {n: score(v, config.rates).values for n, v in measured.accuracy.items()}
    per_cent = {"scale": 100, "unit": " %"}
    return [
        *(
            Claim(
                "the rank correlation of a query's norm and its entropy is below -0.3",
                name,
                found[name],
                (-_INF, -0.3),
            )
            for name in ("softmax", "norm-aware")
        ),
        Claim(
            "the correlation is closer to 0 than with softmax",
            "rectified",
            np.abs(found["softmax"]) - np.abs(found["rectified"]),
        ),
        Claim(
            "more accurate than linear attention on rectified queries and keys",
            "norm-aware",
            right["norm-aware"] - right["rectified"],
            **per_cent,
        ),
        Claim(
            "at least the accuracy of softmax, within a point",
            "norm-aware",
            right["norm-aware"] - right["softmax"],
            (-0.01, _INF),
            **per_cent,
        ),
    ]


def report(measured: Measured, config: Config) -> Report:
    """Numbers and a table; see ``Experiment.report``."""
    found, rows = correlations(measured, config), []
    for name, values in measured.accuracy.items():
        own = score(values, config.rates)
        share = f"{100 * own.values.mean():.1f} %"
        rows.append((name, rate_text(own), share, f"{found[name].mean():+.2f}"))
    table = Table(
        f"Digits, {config.steps} steps, means over seeds; * edge of the grid; the "
        "correlation is that of the network trained with softmax",
        ("attention", "rate", "test accuracy", "norm against entropy"),
        rows,
    )
    return Report({"measured": measured}, [table])
