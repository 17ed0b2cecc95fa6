"""The claims about isometric embeddings, and their table and figure."""

from __future__ import annotations

from experiments.harness.report import Report, Table
from experiments.harness.verdicts import Claim
from experiments.studies.isometric.config import Config
from experiments.studies.isometric.measure import ARMS, Measured
from experiments.studies.panels import dots

_INF = float("inf")
_PLAIN, _BOTH = ARMS[0], ARMS[-1]


def claims(measured: Measured, config: Config) -> list[Claim]:
    """The claims with their evidence; see ``ClaimedExperiment.claims``.

    Returns:
      The claims about landmarks and the isometric loss together.
    """
    del config
    found = []
    for name, arms in measured.tau.items():
        # Those that can be laid out: people of a novel who all meet each other cannot.
        if name in ("grid", "tree"):
            text = "tau of distances is at least 0.8"
            found.append(Claim(text, name, arms[_BOTH], (0.8, _INF)))
        gain = arms[_BOTH] - arms[_PLAIN]
        found.append(Claim("tau is above that of the plain network", name, gain))
        other = measured.auc[name]
        more = other[_BOTH] - other[_PLAIN]
        found.append(Claim("edges are told at least as well", name, more))
    return found


def report(measured: Measured, config: Config) -> Report:
    """Numbers, a table and a figure; see ``Experiment.report``."""
    rows = [
        (name, arm, f"{tau.mean():.3f}", f"{measured.auc[name][arm].mean():.3f}")
        for name, arms in measured.tau.items()
        for arm, tau in arms.items()
    ]
    table = Table(
        f"two layers of GCN, {config.steps} steps, means over {config.seeds} seeds",
        ("graph", "features and loss", "tau", "AUC of edges"),
        rows,
    )
    drawn = {"tau": dots(measured.tau, label="Kendall's tau of distances")}
    return Report({"measured": measured}, [table], drawn)
