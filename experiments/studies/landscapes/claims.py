"""The claims about minima side by side, and their tables."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from experiments.harness.report import Report, Table
from experiments.harness.verdicts import Claim
from experiments.studies.landscapes.config import Case, Config
from experiments.studies.landscapes.measure import Found, Measured
from jaxopt_lab import catalog
from jaxopt_lab.lab.statistics import geometric_interval, mean_interval

PAPERS = {
    ("SAM", "SGD"): "sam",
    ("mSAM", "SAM"): "msam",
    ("SGD", "Adam"): "adam_cm",
    ("Adam+CM", "Adam"): "adam_cm",
}
"""Rows of the catalog whose papers say that the first optimizer finds the flatter
minimum of the two."""

PAIRS = tuple(PAPERS)
"""Optimizers whose sharpness is compared: the first is said to be flatter."""


def sharpness(config: Config) -> dict[str, str]:
    """Measures of sharpness: attributes of ``Measures`` by heading."""
    return {
        "largest eigenvalue": "top",
        f"rise, noise {config.noise:g}": "noise_rise",
        f"rise, {config.filter_step:g} filter norms": "filter_rise",
    }


def claims(measured: Measured, config: Config) -> list[Claim]:
    """The first optimizer of each pair is flatter than the second, by every measure.

    See ``ClaimedExperiment.claims``.

    Returns:
      The claims, on logarithms of ratios.
    """
    found = []
    for case, by_name in measured.items():
        for flat, sharp in PAIRS:
            if not {flat, sharp} <= set(by_name):
                continue
            for heading, name in sharpness(config).items():
                both = [getattr(by_name[x].measures, name) for x in (flat, sharp)]
                with np.errstate(divide="ignore", invalid="ignore"):
                    gain = np.log(both[1]) - np.log(both[0])
                text = f"{flat} flatter than {sharp}: {heading}"
                paper = catalog.get(PAPERS[flat, sharp], "transform").paper
                found.append(Claim(text, case.name, gain, unit=" ln", paper=paper))
    return found


def report(measured: Measured, config: Config) -> Report:
    """Numbers, tables and figures; see ``Experiment.report``."""
    from experiments.studies.landscapes import figures

    tables, drawn, landscapes = [], {}, {}
    for case, found in measured.items():
        cuts = {name: one.cuts for name, one in found.items()}
        drawn[f"{case.name}-planes"] = figures.planes(cuts, config, case)
        drawn[f"{case.name}-lines"] = figures.lines(cuts, config, case)
        landscapes[f"{case.name}-landscapes"] = arrays(found)
        tables += [_minima(found, config, case), _ratios(found, config)]
    results = [
        {
            **case._asdict(),
            "optimizer": name,
            "setting": found.minima.setting,
            "at_the_edge": found.minima.at_the_edge,
            **found.measures._asdict(),
        }
        for case, by_name in measured.items()
        for name, found in by_name.items()
    ]
    return Report({"results": results}, tables, drawn, landscapes)


def arrays(found: Mapping[str, Found]) -> dict[str, np.ndarray]:
    """The landscapes of a case, for an NPZ file.

    Args:
      found: by optimizer.

    Returns:
      Arrays by ``OPTIMIZER/KIND/PART``.
    """
    named: dict[str, np.ndarray] = {}
    for name, one in found.items():
        for kind, cut in one.cuts._asdict().items():
            for part, array in cut._asdict().items():
                named[f"{name}/{kind}/{part}"] = np.asarray(array)
    return named


def _cell(values: np.ndarray) -> str:
    mean, low, high = geometric_interval(values)
    return f"{mean:.3g} ({low:.2g} to {high:.2g})"


def _minima(found: Mapping[str, Found], config: Config, case: Case) -> Table:
    losses = {"training loss": "train_loss", "test loss": "test_loss"}
    fields = losses | sharpness(config)
    rows = []
    for name, one in found.items():
        accuracy = mean_interval(one.measures.test_accuracy)
        rows.append(
            (
                f"{name}{'*' if one.minima.at_the_edge else ''}",
                f"{100 * accuracy.mean:.2f} ± {100 * accuracy.half:.2f}",
                *(_cell(getattr(one.measures, f)) for f in fields.values()),
            )
        )
    parts = [np.max(m.residual / m.top) for _, m, _ in found.values()]
    return Table(
        f"{case.network} on digits, {case.loss} loss, {config.seeds} seeds, 95 % "
        "intervals; * setting at the edge of its grid; largest residual, part of its "
        f"eigenvalue: {max(parts):.2g}",
        ("optimizer", "test accuracy, %", *fields),
        rows,
    )


def _ratios(found: Mapping[str, Found], config: Config) -> Table:
    fields = {"training loss": "train_loss", **sharpness(config)}
    rows = []
    for first, second in PAIRS:
        if {first, second} <= set(found):
            one, two = found[first].measures, found[second].measures
            ratios = (_cell(getattr(one, f) / getattr(two, f)) for f in fields.values())
            rows.append((f"{first} / {second}", *ratios))
    return Table("ratios, paired over seeds", ("ratio", *fields), rows)
