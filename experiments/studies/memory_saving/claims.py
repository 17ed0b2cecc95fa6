"""The claims about loss and bytes, their table and figure."""

from __future__ import annotations

import numpy as np

from experiments.harness.report import Report, Table
from experiments.harness.verdicts import Claim, exact
from experiments.studies.memory_saving.config import Config
from experiments.studies.memory_saving.measure import Measured
from experiments.studies.panels import dots
from jaxopt_lab import catalog

WITHIN = 0.02
"""Difference of losses, in nats, that counts as none."""


def claims(measured: Measured, config: Config) -> list[Claim]:
    """The claims with their evidence; see ``ClaimedExperiment.claims``."""
    del config
    plain = measured.losses["all"]
    found = [
        Claim(
            f"the loss is that of everything kept within {WITHIN:g}",
            name,
            losses - plain,
            (-WITHIN, WITHIN),
            paper=_paper(name),
        )
        for name, losses in measured.losses.items()
        if name != "all"
    ]
    share = measured.bytes["mesa"] / measured.bytes["all"]
    text = f"{share:.3f} of the residuals"
    said = exact("at most 0.6 of the bytes are kept", share <= 0.6, text, "mesa")
    return [*found, said._replace(paper=_paper("mesa"))]


def _paper(name: str) -> str:
    """Source of a way to keep less."""
    kind = name.split()[0]
    if kind == "checkpoint":
        return "Chen et al. 2016, arXiv:1604.06174"
    return catalog.get({"mesa": "mesa_dense", "wta_crs": "wta_crs_dense"}[kind]).paper


def report(measured: Measured, config: Config) -> Report:
    """Numbers, a table and a figure; see ``Experiment.report``."""
    plain = measured.bytes["all"]
    rows = [
        (
            name,
            f"{losses.mean():.4f}",
            f"{np.mean(losses - measured.losses['all']):+.4f}",
            f"{measured.bytes[name] / 1e6:.2f} MB",
            f"{measured.bytes[name] / plain:.3f}",
        )
        for name, losses in measured.losses.items()
    ]
    table = Table(
        f"Markov chain, {config.steps} steps, means over {config.seeds} seeds",
        ("kept", "loss", "over all", "residuals", "over all"),
        rows,
    )
    kept = {
        name: np.full(len(losses), measured.bytes[name] / 1e6)
        for name, losses in measured.losses.items()
    }
    panels = {"loss, nats": measured.losses, "residuals, MB": kept}
    return Report({"measured": measured}, [table], {"losses": dots(panels)})
