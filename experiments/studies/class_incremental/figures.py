"""Accuracy after every task."""

from __future__ import annotations

import numpy as np

from experiments.harness import figures as style
from experiments.studies.class_incremental.config import NEW, TASKS
from experiments.studies.class_incremental.measure import Measured, after_tasks


def curves(measured: Measured) -> style.Figure:
    """The mean accuracy over the classes seen, and that of the first task."""
    figure, ((left, right),) = style.grid(1, 2, 9.0, 3.6, sharey=True)
    looks = style.look_of(list(measured.accuracy))
    for arm, accuracy in measured.accuracy.items():
        color, marker, line = looks[arm]
        drawn = after_tasks(accuracy), accuracy[:, :, :NEW].mean(axis=2)
        for axes, values in zip((left, right), drawn, strict=True):
            tasks = np.arange(1, values.shape[1] + 1)
            mean = 100 * values.mean(axis=0)
            axes.plot(tasks, mean, line, marker=marker, color=color, label=arm)
    left.set_ylabel("test accuracy (%)")
    left.set_title("all classes seen")
    right.set_title("classes of the first task")
    for axes in (left, right):
        axes.set_xlabel("after task")
        axes.set_xticks(range(1, TASKS + 1))
        style.tidy(axes)
    left.legend(frameon=False)
    return figure
