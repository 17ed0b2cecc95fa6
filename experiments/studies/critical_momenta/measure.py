"""All panels: landscapes, buffers, streams of tasks, and a text."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from experiments.harness.store import Store
from experiments.studies.critical_momenta import buffers, methods, streams, text
from experiments.studies.critical_momenta.buffers import Course
from experiments.studies.critical_momenta.config import Config
from experiments.studies.critical_momenta.escapes import Escapes, elsewhere, escapes
from experiments.studies.critical_momenta.toys import TOYS, Toy
from jaxopt_lab.data.text import load_text

WATCHED = (
    methods.ADAM,
    methods.CG,
    methods.CM,
    methods.CM_SLOW,
    methods.CM_LARGE_FAST,
    methods.CM_LARGE,
)
"""Methods whose buffer is watched along a training."""


class Landscape(NamedTuple):
    """A toy under one schedule.

    Attributes:
      toy: the toy.
      schedule: of the step size.
      elsewhere: whether each start is in the basin of another minimum.
      found: ends by method.
    """

    toy: Toy
    schedule: str
    elsewhere: np.ndarray
    found: Mapping[str, Escapes]

    @property
    def name(self) -> str:
        """Heading of the panel."""
        return f"{self.toy.name}, {self.schedule}"


class Measured(NamedTuple):
    """Everything that is measured.

    Attributes:
      landscapes: every toy under every schedule.
      courses: buffers along a training, by method.
      streams: online accuracy, shape ``(rates, 2 * seeds)``, by method, by panel.
      text: test losses of that shape, by method; empty without a text.
    """

    landscapes: list[Landscape]
    courses: dict[str, Course]
    streams: dict[str, dict[str, np.ndarray]]
    text: dict[str, np.ndarray]


def prepare(
    config: Config, fashion: str | None = None, text: str | None = None
) -> tuple[Config, dict[str, Any]]:
    """Read the data, so that a typo in a path ends the run at once.

    Args:
      config: the size of the study.
      fashion: folder of Fashion-MNIST.
      text: path of a text file.

    Returns:
      The settings, and the arguments of ``measure``.

    Raises:
      InputError: data are not there.
    """
    folder = None if fashion is None else Path(fashion).expanduser()
    words = None if text is None else load_text(text, config.context)
    if words is None:
        print("without the panel text: text=FILE names a text", flush=True)
    return config, {"source": streams.examples(folder), "words": words}


def measure(
    config: Config, store: Store, source: streams.Examples, words: Any = None
) -> Measured:
    """Run every panel; see ``Experiment.measure``.

    Args:
      source: examples of the streams.
      words: windows of the text; ``None``: without that panel.
    """
    landscapes = []
    for toy in TOYS:
        if not config.toys or toy.name in config.toys:
            start = elsewhere(toy, config)
            for schedule in config.schedules:
                found = _rows(
                    store,
                    f"{toy.name} {schedule}",
                    methods.ON_TOYS,
                    lambda row, toy=toy, schedule=schedule: escapes(
                        row, toy, schedule, config
                    )._asdict(),
                )
                ends = {name: Escapes(**kept) for name, kept in found.items()}
                landscapes.append(Landscape(toy, schedule, start, ends))
    courses = _rows(
        store, "buffers", WATCHED, lambda row: buffers.course(row, config)._asdict()
    )
    accuracies = {}
    for change in streams.CHANGES:
        if config.changes and change not in config.changes:
            continue
        stream = streams.streams(change, config, source)
        found = _rows(
            store,
            f"stream {source.name} {change}",
            methods.ON_NETWORKS,
            lambda row, stream=stream: {
                "values": streams.accuracies(row, stream, config)
            },
        )
        accuracies[f"stream of {source.name}, {change}"] = _values(found)
    losses = {}
    if words is not None:
        found = _rows(
            store,
            "text",
            methods.ON_NETWORKS,
            lambda row: {"values": text.test_losses(row, words, config)},
        )
        losses = _values(found)
    return Measured(
        landscapes,
        {name: Course(**kept) for name, kept in courses.items()},
        accuracies,
        losses,
    )


def _rows(
    store: Store,
    panel: str,
    rows: tuple[methods.Row, ...],
    compute: Callable[[methods.Row], dict[str, Any]],
) -> dict[str, dict[str, np.ndarray]]:
    group = store.group(panel.replace(",", "").replace(".", "").replace(" ", "-"))
    return {
        row.name: group.measured(row.name, lambda row=row: compute(row)) for row in rows
    }


def _values(found: Mapping[str, Mapping[str, np.ndarray]]) -> dict[str, np.ndarray]:
    return {name: kept["values"] for name, kept in found.items()}
