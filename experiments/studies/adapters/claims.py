"""The claims about adapters, and their table."""

from __future__ import annotations

from experiments.harness.report import Report, Table
from experiments.harness.verdicts import Claim
from experiments.studies.adapters.config import Config
from experiments.studies.adapters.measure import Measured
from experiments.studies.scores import Score, rate_text, score

_INF = float("inf")


def scored(measured: Measured, config: Config) -> dict[str, Score]:
    """The arms at the rates that are best on the first half of the seeds.

    Args:
      measured: the measurements.
      config: the size of the study.

    Returns:
      The scores of the second half, by arm.
    """
    return {n: score(v, config.rates) for n, v in measured.adapted.items()}


def claims(measured: Measured, config: Config) -> list[Claim]:
    """The claims with their evidence; see ``ClaimedExperiment.claims``."""
    scores = scored(measured, config)
    probe = scores["probe"].values
    narrow, wide = (
        scores[f"dense {size}"].values for size in (config.narrow, config.wide)
    )
    found = []
    for name in scores:
        if not name.startswith("kernel"):
            continue
        values, given = scores[name].values, {"scale": 100, "unit": " %"}
        found += [
            Claim(
                "at least the accuracy of a dense adapter of equal parameters, within "
                "a point",
                name,
                values - narrow,
                (-0.01, _INF),
                **given,
            ),
            Claim(
                "more accurate than a new last layer of equal parameters",
                name,
                values - probe,
                **given,
            ),
            Claim(
                "within a point of a dense adapter with five times the parameters",
                name,
                values - wide,
                (-0.01, _INF),
                **given,
            ),
        ]
    bundled = score(measured.bundled, config.ridges)
    upright = measured.upright[len(measured.upright) // 2 :]
    text = "in closed form within two points of the perceptron that Adam trains"
    gap = bundled.values - upright
    where = "bundled net"
    found.append(Claim(text, where, gap, (-0.02, _INF), scale=100, unit=" %"))
    return found


def report(measured: Measured, config: Config) -> Report:
    """Numbers and a table; see ``Experiment.report``."""
    rows = [
        ("upright", "perceptron", "", "", f"{100 * measured.upright.mean():.1f} %"),
        ("turned", "perceptron", "0", "", f"{100 * measured.untrained.mean():.1f} %"),
    ]
    bundled = score(measured.bundled, config.ridges)
    share = f"{100 * bundled.values.mean():.1f} %"
    rows.append(("upright", "bundled net", "", rate_text(bundled), share))
    for name, own in scored(measured, config).items():
        text = f"{100 * own.values.mean():.1f} %"
        rows.append(("turned", name, str(measured.sizes[name]), rate_text(own), text))
    table = Table(
        f"Digits, {config.steps} steps, means over seeds; * edge of the grid",
        ("digits", "arm", "parameters", "rate or ridge", "test accuracy"),
        rows,
    )
    return Report({"measured": measured}, [table])
