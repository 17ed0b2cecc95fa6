"""Train and measure every method on every panel."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from experiments.harness.store import Rows, Store
from experiments.studies.sharpness import rows, tasks, training
from experiments.studies.sharpness.columns import Measured
from experiments.studies.sharpness.config import Config, Panel
from jaxopt_lab.core import errors


def prepare(
    config: Config,
    fashion: str | None = None,
    only: str | None = None,
    first_seed: str | None = None,
) -> tuple[Config, dict[str, Any]]:
    """The settings with the options of the command.

    Args:
      config: the size of the study.
      fashion: folder of Fashion-MNIST.
      only: names of panels, separated by commas.
      first_seed: the first of consecutive seeds; ``None``: that of the settings.

    Returns:
      The settings, and the arguments of ``measure``.

    Raises:
      InputError: an unknown panel, or a seed that is no number.
    """
    if first_seed is not None and not first_seed.isdecimal():
        raise errors.InputError(
            f"first_seed={first_seed} cannot be read; accepted: whole numbers from 0"
        )
    folder = None if fashion is None else Path(fashion).expanduser()
    config = dataclasses.replace(
        config,
        panels=tuple(_panels(config, only, folder)),
        first_seed=config.first_seed if first_seed is None else int(first_seed),
    )
    return config, {"fashion": folder}


def _panels(config: Config, only: str | None, fashion: Path | None) -> list[Panel]:
    known = {panel.name: panel for panel in config.panels}
    if only is None:
        names = [n for n, p in known.items() if p.task != "fashion" or fashion]
        if len(names) < len(known):
            print("without the panel fashion: fashion=FOLDER names its files")
    else:
        names = only.split(",")
    for name in names:
        if name not in known:
            raise errors.unknown("panel", name, known)
    return [known[name] for name in names]


def measure(config: Config, store: Store, fashion: Path | None = None) -> Measured:
    """Train and measure; see ``Experiment.measure``.

    Args:
      fashion: folder of Fashion-MNIST, for panels that need it.

    Returns:
      The measurements by method, by panel.

    Raises:
      InputError: the store holds results of other settings, or data are missing.
    """
    groups = [panel_rows(store, panel, config) for panel in config.panels]
    laboratories: dict[str, training.Laboratory] = {}

    def laboratory(panel: Panel) -> training.Laboratory:
        if panel.task not in laboratories:
            task = tasks.load(panel.task, config, fashion)
            laboratories[panel.task] = training.prepare(config, task)
        return laboratories[panel.task]

    found: dict[str, dict[str, Any]] = {}
    for panel, group in zip(config.panels, groups, strict=True):
        sample: list[Any] = []

        def scores(row: rows.Row, panel: Panel = panel, sample: Any = sample) -> Any:
            lab = laboratory(panel)
            if not sample:
                sample.append(lab.sample(panel))
            return lab.scores(row, panel, sample[0])

        found[panel.name] = {
            row.name: group.measured(
                row.name, lambda row=row, scores=scores: scores(row), about(row, panel)
            )
            for row in rows.of(panel)
        }
    return found


def panel_rows(store: Store, panel: Panel, config: Config) -> Rows:
    """The rows of a panel; they do not depend on the other panels.

    Args:
      store: of the run.
      panel: the panel.
      config: the size of the study.

    Returns:
      The rows.

    Raises:
      InputError: the file holds rows of other settings, or cannot be read.
    """
    settings = dataclasses.asdict(config)
    del settings["panels"]
    about_all = {"panel": dataclasses.asdict(panel), "settings": settings}
    return store.group(panel.name, about_all)


def about(row: rows.Row, panel: Panel) -> dict[str, Any]:
    """Everything that a row's measurements depend on beside the panel.

    Args:
      row: the method.
      panel: gives its settings.

    Returns:
      A tree.
    """
    return {**dataclasses.asdict(row), "grid": rows.settings(row, panel)}
