"""The claims about kernels of depth, and their tables."""

from __future__ import annotations

import numpy as np

from experiments.harness.report import Report, Table
from experiments.harness.verdicts import Claim
from experiments.studies.kernels_of_depth.config import Config
from experiments.studies.kernels_of_depth.measure import Measured

_INF = float("inf")


def slopes(widths: tuple[int, ...], errors: np.ndarray) -> np.ndarray:
    """Slopes of lines through logarithms of errors over those of widths.

    Args:
      widths: of the networks.
      errors: ``(seeds, widths)``.

    Returns:
      ``(seeds,)``.
    """
    x = np.log(np.asarray(widths, float))
    x = x - x.mean()
    return np.log(errors) @ x / (x @ x)


def claims(measured: Measured, config: Config) -> list[Claim]:
    """The claims with their evidence; see ``ClaimedExperiment.claims``."""
    found = [
        Claim(
            "the error of the tangent kernel falls as the root of the width",
            f"networks with {name}",
            slopes(config.widths, errors),
            (-0.7, -0.3),
            unit=" in the exponent",
        )
        for name, errors in measured.kernels.items()
    ]
    found += [
        Claim(
            "the deepest kernel agrees with its limit on more than 99 % of the points",
            name,
            agreement,
            (0.99, _INF),
            scale=100,
            unit=" %",
        )
        for name, agreement in measured.agreement.items()
    ]
    errors, excess = measured.errors, measured.excess
    for i, dimension in enumerate(config.dimensions):
        less = errors["1-NN"][:, i] - errors["singular"][:, i]
        where = f"digits, {dimension} components"
        text = "with wrong labels the singular vote errs less than the nearest one"
        found.append(Claim(text, where, less, scale=100, unit=" %"))
    fall = {name: values[:, 0] - values[:, -1] for name, values in excess.items()}
    more = {"where": "planted law", "scale": 100, "unit": " %"}
    return [
        *found,
        Claim(
            "the singular vote comes closer to the Bayes error with more points",
            values=fall["singular"],
            **more,
        ),
        Claim(
            "it comes closer by more than the nearest neighbour does",
            values=fall["singular"] - fall["1-NN"],
            **more,
        ),
        Claim(
            "the nearest neighbour stays at least half its asymptotic excess away",
            values=excess["1-NN"][:, -1],
            accepted=(config.flipped * (1 - 2 * config.flipped) / 2, _INF),
            **more,
        ),
    ]


def report(measured: Measured, config: Config) -> Report:
    """Numbers and tables; see ``Experiment.report``."""
    per_cent = lambda values: [f"{100 * x:.1f} %" for x in values.mean(0)]
    digits = Table(
        f"Errors on threes against eights, {100 * config.wrong:g} % wrong labels, "
        f"means over {config.seeds} seeds",
        ("classifier", *(f"{d} components" for d in config.dimensions)),
        [(name, *per_cent(values)) for name, values in measured.errors.items()],
    )
    planted = Table(
        f"Excess over the Bayes error of {100 * config.flipped:g} %",
        ("classifier", *(f"{n} points" for n in config.samples)),
        [(name, *per_cent(values)) for name, values in measured.excess.items()],
    )
    finite = Table(
        "Error of finite networks' tangent kernels over that of an input with itself",
        ("activation", *(f"width {n}" for n in config.widths)),
        [
            (name, *(f"{x:.3g}" for x in values.mean(0)))
            for name, values in measured.kernels.items()
        ],
    )
    return Report({"measured": measured}, [finite, digits, planted])
