"""Figures along a run, from its records."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxopt_lab import plotting
from jaxopt_lab.lab.recipe_adapters import PLAIN, Adapter
from jaxopt_lab.plotting import Line, Panel

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Records = Sequence[dict[str, Any]]


def curves(records: Records, *, text: bool, adapter: Adapter = PLAIN) -> Figure:
    """Loss, accuracy, learning rate, norms; for texts also bits a character.

    Args:
      records: of the run.
      text: whether it is on texts.
      adapter: of the run's recipe, which may have other losses and scores.

    Returns:
      The figure.

    Raises:
      InputError: there are no records.
    """
    rate = rate_name(records)
    bits = [n for r in records for n in r if n.startswith("bits_per_")][:1]
    panels = [
        *_of_tests(adapter),
        *(
            Panel(f"test bits a {name.removeprefix('bits_per_')}", [Line("test", name)])
            for name in bits
            if text
        ),
        Panel("learning rate", [Line("train", rate)] if rate else []),
        Panel("gradient norm", [Line("train", "grad_norm")], log=True),
        Panel("update / weights", [Line("train", "update_ratio")], log=True),
    ]
    return plotting.record_panels(records, panels)


def _of_tests(adapter: Adapter) -> list[Panel]:
    accuracy = Panel("accuracy (%)", _both("accuracy"), scale=100)
    if adapter.classifies and not adapter.losses:
        return [Panel("loss (nats)", _both("loss"), log=True), accuracy]
    found = []
    for label, names in adapter.losses.items():
        lines = [Line("train", n, f"train {n}".replace("_", " ")) for n in names]
        # Of a classifier the test's is the cross-entropy, another quantity.
        if "loss" in names and not adapter.classifies:
            lines.append(Line("test", "loss", "test loss"))
        scale = 100 if "(%)" in label else 1
        found.append(Panel(label, lines, log=scale == 1, scale=scale))
    if adapter.classifies:
        loss = Panel("test loss (nats)", [Line("test", "loss")], log=True)
        return [*found, loss, accuracy]
    lines = [Line("test", name, name) for name in adapter.scores]
    return [*found, Panel("test (%)", lines, scale=100)]


def along(records: Records) -> Figure | None:
    """The curvature along a run against the limit that its learning rate sets.

    Args:
      records: of the run.

    Returns:
      The figure; ``None`` where curvature was not measured.
    """
    probed = [r for r in records if "curvature/top_1" in r]
    if not probed:
        return None
    steps = [r["step"] for r in probed]
    return plotting.sharpness_curve(
        steps,
        {"largest eigenvalue": [r["curvature/top_1"] for r in probed]},
        rates_at(records, steps),
    )


def rate_name(records: Records) -> str:
    """The name of the learning rate in the records; empty where there is none."""
    names = (name for r in records for name in r if r.get("kind") == "train")
    return next((n for n in names if n.endswith("learning_rate")), "")


def rates_at(records: Records, steps: Sequence[int]) -> list[float] | None:
    """The learning rate at the records nearest to some steps.

    Args:
      records: of the run.
      steps: the steps.

    Returns:
      The rates; ``None`` where none was recorded, or seeds have different ones.
    """
    name = rate_name(records)
    known = [r for r in records if name in r]
    if not known or np.ndim(known[0][name]):
        return None
    at = np.array([r["step"] for r in known])
    return [float(known[int(np.argmin(abs(at - s)))][name]) for s in steps]


def _both(name: str) -> list[Line]:
    lines = [Line("train", name, "train"), Line("test", name, "test")]
    for prefix, label in (("val_", "validation"), ("ema_", "averaged weights")):
        lines.append(Line("test", f"{prefix}{name}", label))
    return lines
