"""Straightness and cost of the flows, and distances by number of steps."""

from __future__ import annotations

from experiments.harness import figures as style
from experiments.studies.flow_matching.config import Config
from experiments.studies.flow_matching.measure import FINE, Measured


def panels(measured: Measured, config: Config) -> style.Figure:
    """Curvature against cost, a point a seed; W2 against Euler's steps."""
    figure, ((left, right),) = style.grid(1, 2, 9.0, 3.6)
    looks = style.look_of(list(measured.distance))
    for arm, distances in measured.distance.items():
        color, marker, line = looks[arm]
        excess = 1e4 * (measured.cost[arm] - 1)
        left.plot(excess, measured.curvature[arm], marker, color=color, label=arm)
        means = [distances[str(n)].mean() for n in config.euler]
        right.plot(config.euler, means, line, marker=marker, color=color, label=arm)
        right.axhline(distances[FINE].mean(), linestyle=line, color=color, alpha=0.5)
    left.set_xlabel("transport cost above the best one (parts in 10 000)")
    left.set_ylabel("curvature of the paths")
    style.log_places(right, config.euler)
    right.set_xlabel("Euler steps (level lines: fine steps)")
    right.set_ylabel("Wasserstein distance from the data")
    for axes in (left, right):
        style.tidy(axes)
        axes.legend(frameon=False)
    return figure
