"""The figures of a comparison."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxopt_lab import plotting
from jaxopt_lab.lab.comparison.results import ranked
from jaxopt_lab.lab.statistics import mean_interval

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def figures(
    found: Mapping[str, Any], times: Mapping[str, Mapping[str, Any]]
) -> dict[str, Figure]:
    """The figures of a page, those that there is something to draw for.

    Args:
      found: the results.
      times: by label: seconds of each run.

    Returns:
      ``"curves"``, ``"end points"``, ``"sharpness"`` and ``"noise"``.
    """
    from jaxopt_lab.lab import methods

    order = methods.names()
    scale, label = scale_of(found)
    best = ranked(found)
    made = {"curves": _curves(found, times, order)}
    made["end points"] = plotting.end_points(
        {m["label"]: scale * floats(m["scores"]) for m in best},
        {
            m["label"]: tuple(scale * floats(m["interval"]))
            for m in best
            if m["interval"]
        },
        xlabel=label,
        order=order,
    )
    sharp = [m for m in best if m["sharpness"]]
    if sharp:
        made["sharpness"] = plotting.end_points(
            {m["label"]: floats(m["sharpness"]) for m in sharp},
            xlabel="largest eigenvalue of the Hessian",
            log=True,
            order=order,
        )
    levels = found["about"]["noise"]
    if levels:
        panel = {}
        for m in best:
            rows = [m["scores"], *m["noise"]]
            scores = scale * np.array([floats(row) for row in rows])
            panel[m["label"]] = ([0.0, *levels], scores)
        made["noise"] = plotting.score_bands(
            {"noise": panel},
            ylabel=label,
            xlabels={"noise": "noise on the weights, of each kernel's largest"},
            order=order,
        )
    return made


def _curves(
    found: Mapping[str, Any],
    times: Mapping[str, Mapping[str, Any]],
    order: list[str],
) -> Figure:
    scale, label = scale_of(found)
    axis = "gradients"
    if not all(axis in m["curve"][-1] for m in found["methods"]):
        axis = "step"
    panels: dict[str, Any] = {axis: {}, "seconds": {}}
    widths = {}
    for m in found["methods"]:
        curve = m["curve"]
        scores = scale * np.array([floats(point["scores"]) for point in curve])
        panels[axis][m["label"]] = ([point[axis] for point in curve], scores)
        if step := times[m["label"]].get("step_seconds"):
            seconds = [step * point["step"] for point in curve]
            panels["seconds"][m["label"]] = (seconds, scores)
        if scores.shape[1] > 1:
            widths[m["label"]] = [mean_interval(row).half for row in scores]
    words = {"gradients": "gradients (of a whole batch)", "step": "step"}
    return plotting.score_bands(
        {name: curves for name, curves in panels.items() if curves},
        ylabel=label,
        xlabels={**words, "seconds": "seconds of stepping, all seeds at once"},
        widths=widths,
        settled=0.3,
        order=order,
    )


def scale_of(found: Mapping[str, Any]) -> tuple[float, str]:
    """Factor on the score for tables and figures, and the score's name with its unit.

    Args:
      found: the results.
    """
    if found["score"] == "accuracy":
        return 100.0, "test accuracy (%)"
    return 1.0, f"test {found['score']} (nats)"


def floats(values: Any) -> np.ndarray:
    """Numbers of a JSON file; NaN for ``None``."""
    return np.array([np.nan if x is None else x for x in values], float)
