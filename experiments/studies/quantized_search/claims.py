"""The claims about searches of bit widths, and their tables."""

from __future__ import annotations

from experiments.harness.report import Report, Table
from experiments.harness.verdicts import Claim
from experiments.studies.quantized_search.config import LINAS, QUANTNAS, Config
from experiments.studies.quantized_search.measure import ARMS, Measured


def claims(measured: Measured, config: Config) -> list[Claim]:
    """The claims with their evidence; see ``ClaimedExperiment.claims``."""
    del config
    last = {arm: volume[:, -1] for arm, volume in measured.volume.items()}
    text = "the hypervolume is above that of {}"
    found = [
        Claim(text.format(other), "LINAS", last["LINAS"] - last[other], paper=LINAS)
        for other in ARMS[1:]
    ]
    gain = measured.gradient_volume["noise"] - measured.gradient_volume["rounding"]
    where = "QuantNAS"
    text = "noise in the search gives a larger hypervolume than rounding"
    return [*found, Claim(text, where, gain, paper=QUANTNAS)]


def report(measured: Measured, config: Config) -> Report:
    """Numbers, tables and a figure; see ``Experiment.report``."""
    from experiments.studies.quantized_search import figures

    half = config.evaluations // 2 - 1
    rows = [
        (arm, f"{volume[:, half].mean():.4f}", f"{volume[:, -1].mean():.4f}")
        for arm, volume in measured.volume.items()
    ]
    first = Table(
        f"SimQ-NAS: hypervolume, means over {config.seeds} seeds",
        ("search", f"after {half + 1}", f"after {config.evaluations}"),
        rows,
    )
    rows = [
        (
            kind,
            f"{cost:g}",
            f"{100 * points[:, i, 0].mean():.1f} %",
            f"{points[:, i, 1].mean():.3g}",
            f"{measured.gradient_volume[kind].mean():.4f}",
        )
        for kind, points in measured.points.items()
        for i, cost in enumerate(config.costs)
    ]
    second = Table(
        "QuantNAS: networks chosen by gradients, trained anew",
        ("search", "weight of costs", "accuracy", "bit operations", "hypervolume"),
        rows,
    )
    drawn = {"volumes": figures.volumes(measured)}
    return Report({"measured": measured}, [first, second], drawn)
