"""The claims about interaction bases, and their table."""

from __future__ import annotations

from experiments.harness.report import Report, Table
from experiments.harness.verdicts import Claim, exact
from experiments.studies.interaction_basis.config import Config
from experiments.studies.interaction_basis.measure import Measured

ROUNDING = 1e-6


def claims(measured: Measured, config: Config) -> list[Claim]:
    """The claims with their evidence; see ``ClaimedExperiment.claims``."""
    shares, moved, per_cent = (
        measured.shares,
        measured.moved,
        {"scale": 100, "unit": " %"},
    )
    found = [
        Claim(
            "a smaller share of the interactions holds "
            f"{100 * config.share:g} % of the strength, in every layer",
            f"local interaction basis against {other}",
            (shares[other] - shares["local"]).T,
            **per_cent,
        )
        for other in ("principal", "neurons")
    ]
    change = float(measured.eigenvalues.max())
    text = (
        f"largest change of an eigenvalue {change:.1e} of the largest, of a share "
        f"{moved['local'].max():.1e}"
    )
    found.append(
        exact(
            "other coordinates of a hidden layer change neither eigenvalues nor shares",
            change < ROUNDING and float(moved["local"].max()) < ROUNDING,
            text,
            "local interaction basis",
        )
    )
    text = "other coordinates of a hidden layer change the shares"
    where, gaps = "principal directions", moved["principal"]
    found.append(Claim(text, where, gaps, (ROUNDING, float("inf")), **per_cent))
    return found


def report(measured: Measured, config: Config) -> Report:
    """Numbers and a table; see ``Experiment.report``."""
    rows = []
    for name, values in measured.shares.items():
        counts = measured.counts[name].mean(0)
        cells = [
            f"{100 * share:.1f} % ({count:.0f})"
            for share, count in zip(values.mean(0), counts, strict=True)
        ]
        rows.append((name, *cells, f"{100 * measured.moved[name].mean():.2g} %"))
    table = Table(
        f"Share and number of the interactions that hold {100 * config.share:g} % of "
        f"the strength, means over {config.seeds} networks, which are right on "
        f"{100 * measured.accuracy.mean():.1f} %",
        (
            "basis",
            *(f"layer {i + 1}" for i in range(len(config.hidden) + 1)),
            "largest change in other coordinates",
        ),
        rows,
    )
    return Report({"measured": measured}, [table])
