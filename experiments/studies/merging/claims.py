"""The claims about merging, and their table."""

from __future__ import annotations

import numpy as np

from experiments.harness.report import Report, Table
from experiments.harness.verdicts import Claim, exact
from experiments.studies.merging.config import Config
from experiments.studies.merging.measure import Measured

_T3 = "T3: Test-Time Model Merging in VLMs, 2025, from its model card"
_CODIEMB = "CoDiEmb, 2025, from the abstract"
LOW, HIGH = 0.5, 0.1 + 0.8 / (1 + 2**-0.5)
"""The range of T3's coefficient: a Jensen-Shannon divergence is at most log 2."""


def means(measured: Measured) -> dict[str, np.ndarray]:
    """Accuracies on as many upright as turned digits, ``{model: (seeds,)}``."""
    return {n: (up + measured.turned[n]) / 2 for n, up in measured.upright.items()}


def claims(measured: Measured, config: Config) -> list[Claim]:
    """The claims with their evidence; see ``ClaimedExperiment.claims``."""
    del config
    both = means(measured)
    single = np.maximum(both["pretrained"], both["finetuned"])

    def more(text: str, name: str, other: np.ndarray, paper: str) -> Claim:
        gain = both[name] - other
        return Claim(text, name, gain, scale=100, unit=" %", paper=paper)

    found = []
    for name in ("T3, batch", "T3, examples", "T3, examples, centred"):
        text = "more accurate on both kinds of digits together than a uniform soup"
        found.append(more(text, name, both["soup"], _T3))
    text = "more accurate than with one coefficient of the batch"
    found.append(more(text, "T3, examples", both["T3, batch"], _T3))
    text = "more accurate than the better of both models"
    found.append(more(text, "T3, examples", single, _T3))
    text = "more accurate than a uniform soup of the same two models"
    fused = "CoDiEmb of two tunings"
    found.append(more(text, fused, both["soup of two tunings"], _CODIEMB))
    low = float(measured.coefficients.min())
    high = float(measured.coefficients.max())
    inside = low > LOW - 1e-6 and high < HIGH + 1e-6
    said = exact(
        "with the card's constants the share of the pretrained model hardly moves, "
        f"within {LOW:g} and {HIGH:.3f}",
        inside,
        f"from {low:.3f} to {high:.3f}",
        "T3, examples",
    )
    return [*found, said._replace(paper=_T3)]


def report(measured: Measured, config: Config) -> Report:
    """Numbers and a table; see ``Experiment.report``."""
    both, rows = means(measured), []
    for name, up in measured.upright.items():
        values = (up, measured.turned[name], both[name])
        rows.append((name, *(f"{100 * x.mean():.1f} %" for x in values)))
    table = Table(
        f"Digits, {config.tuning} steps of fine-tuning on turned ones, means over "
        f"{config.seeds} seeds",
        ("model", "upright", "turned", "both"),
        rows,
    )
    return Report({"measured": measured}, [table])
