"""Precision over the size of batches."""

from __future__ import annotations

from experiments.harness import figures as style
from experiments.studies.temporal_graphs.measure import ARMS, Measured


def precision(measured: Measured) -> style.Figure:
    """A line for each arm, means over seeds with their standard errors."""
    figure, ((axes,),) = style.grid(1, 1, 5.6, 3.8)
    batches = [int(batch) for batch in measured.precision]
    looks = style.look_of(list(ARMS))
    for i, (arm, (color, marker, line)) in enumerate(looks.items()):
        values = [100 * arms[arm] for arms in measured.precision.values()]
        means = [v.mean() for v in values]
        errors = [v.std(ddof=1) / len(v) ** 0.5 for v in values]
        places = [b * 1.04 ** (i - 1.5) for b in batches]
        look = {"color": color, "marker": marker, "linestyle": line, "capsize": 2}
        axes.errorbar(places, means, errors, label=arm, markersize=4, **look)
    floor = 100 * measured.recency.mean()
    axes.axhline(floor, color="0.5", linestyle="-.", linewidth=0.9, label="recency")
    style.log_places(axes, batches)
    axes.set_xlabel("events of a batch")
    axes.set_ylabel("average precision, %")
    style.tidy(axes)
    axes.legend(frameon=False, fontsize=8)
    return figure
