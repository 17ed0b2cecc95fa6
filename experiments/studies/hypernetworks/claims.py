"""The claims about hypernetworks, and their tables."""

from __future__ import annotations

import numpy as np

from experiments.harness.report import Report, Table
from experiments.harness.verdicts import Claim
from experiments.studies.hypernetworks.config import Config
from experiments.studies.hypernetworks.measure import Measured
from experiments.studies.scores import rate_text, score

_MIP = "Gonzalez Ortiz et al. 2023, arXiv:2304.07645"
_LOGAH = "Zhou et al. 2024, arXiv:2405.16287"


def cells(config: Config) -> tuple[float, ...]:
    """The learning rates, of momentum and of Adam."""
    return (*config.sgd_rates, *config.adam_rates)


def claims(measured: Measured, config: Config) -> list[Claim]:
    """The claims with their evidence; see ``ClaimedExperiment.claims``."""
    steps, half = measured.steps, config.seeds // 2
    reached = {n: np.mean(v < config.steps, axis=0) for n, v in steps.items()}
    own = {
        n: score(v, cells(config), higher_is_better=False).values
        for n, v in steps.items()
    }
    spread = measured.spread
    found = [
        Claim(
            "its result varies less over the contrast than by default",
            "MIP, first predicted layer",
            np.log(spread["default"] / spread["MIP"]),
            unit=" ln",
            paper=_MIP,
        ),
        Claim(
            f"fewer steps to a loss of {config.reached:g} than by default, each at its "
            "best optimizer and rate",
            "MIP",
            np.log(own["default"] / own["MIP"]),
            unit=" ln",
            paper=_MIP,
        ),
        Claim(
            f"more optimizers and rates reach a loss of {config.reached:g} than by "
            "default",
            "MIP",
            (reached["MIP"] - reached["default"])[half:],
            scale=100,
            unit=" %",
            paper=_MIP,
        ),
    ]
    for i, width in enumerate(config.unseen):
        predicted, drawn = (
            score(measured.losses[n][i], config.rates, higher_is_better=False).values
            for n in ("predicted", "random")
        )
        where = f"LoGAH, width {width}, unseen"
        found += [
            Claim(
                f"the loss after {config.later} steps is below that from random "
                "weights, each at its best rate",
                where,
                drawn - predicted,
                unit=" nats",
                paper=_LOGAH,
            ),
            Claim(
                "more than half of the digits are right without a step",
                where,
                measured.untrained[i] - 0.5,
                scale=100,
                unit=" %",
                paper=_LOGAH,
            ),
        ]
    return found


def report(measured: Measured, config: Config) -> Report:
    """Numbers and tables; see ``Experiment.report``."""
    names = [f"momentum {r:g}" for r in config.sgd_rates]
    names += [f"Adam {r:g}" for r in config.adam_rates]
    first = Table(
        f"Steps to a loss of {config.reached:g}, at most {config.steps}, means over "
        f"{config.seeds} seeds",
        ("arm", *names, "variance over contrasts"),
        [
            (
                arm,
                *(f"{x:.0f}" for x in values.mean(1)),
                f"{measured.spread[arm].mean():.2g}",
            )
            for arm, values in measured.steps.items()
        ],
    )
    rows = []
    for i, width in enumerate(config.unseen):
        for name, values in measured.losses.items():
            own = score(values[i], config.rates, higher_is_better=False)
            right = f"{100 * measured.untrained[i].mean():.1f} %"
            text = right if name == "predicted" else ""
            rows.append(
                (str(width), name, rate_text(own), f"{own.values.mean():.3f}", text)
            )
    heads = ("width", "weights", "rate", "test loss", "accuracy without a step")
    second = Table(
        f"Perceptrons after {config.later} steps; * edge of the grid", heads, rows
    )
    return Report({"measured": measured}, [first, second])
