"""The claims about critical momenta, and their tables."""

from __future__ import annotations

from typing import Any

import numpy as np

from experiments.harness.report import Report, Table
from experiments.harness.verdicts import Claim
from experiments.studies import scores
from experiments.studies.critical_momenta import methods
from experiments.studies.critical_momenta.config import Config
from experiments.studies.critical_momenta.measure import Landscape, Measured
from experiments.studies.scores import Score, better, score
from jaxopt_lab.lab.statistics import mean_interval

_DRAWN = ("wells .1", "levy, 2-D")
_DRAWN_RATE = 0.1
_ONLINE = "online accuracy (%)"
_TEST = "test loss (nats a character)"


def claims(measured: Measured, config: Config) -> list[Claim]:
    """Critical momenta are better than Adam, SAM and critical gradients.

    See ``ClaimedExperiment.claims``.

    Returns:
      The claims; on landscapes paired over starts, else over seeds.
    """
    found, cm = [], methods.CM.name
    for one in measured.landscapes:
        # With a constant rate C = 5 at 0.7 cannot settle; slower keys can.
        ours = [methods.CM] + [methods.CM_SLOW] * (one.schedule == "constant")
        at = _hits(one, config)
        found += [
            better(one.name, at, row.name, other)
            for row in ours
            for other in (methods.ADAM.name, methods.SAM.name, methods.CG.name)
        ]
    for where, at in _online(measured, config).items():
        found += [
            better(where, at, cm, other)
            for other in (methods.ADAM.name, methods.SAM_SMALL.name, methods.CG.name)
        ]
    for where, at in _text(measured, config).items():
        found += [
            better(where, at, cm, other, higher_is_better=False)
            for other in (methods.ADAM.name, methods.CG.name)
        ]
    return found


def _hits(one: Landscape, config: Config) -> dict[str, Score]:
    return {name: score(e.hit, config.toy_rates) for name, e in one.found.items()}


def _online(measured: Measured, config: Config) -> dict[str, dict[str, Score]]:
    return {
        where: {name: score(x, config.stream_rates) for name, x in found.items()}
        for where, found in measured.streams.items()
    }


def _text(measured: Measured, config: Config) -> dict[str, dict[str, Score]]:
    found = {
        name: score(values, config.text_rates, higher_is_better=False)
        for name, values in measured.text.items()
    }
    return {"text": found} if found else {}


def report(measured: Measured, config: Config) -> Report:
    """Numbers, tables and figures; see ``Experiment.report``."""
    from experiments.studies.critical_momenta import figures

    toys = [
        _toy_row(one, name, at, config)
        for one in measured.landscapes
        for name, at in _hits(one, config).items()
    ]
    hits = {one.name: _hits(one, config) for one in measured.landscapes}
    online, text = _online(measured, config), _text(measured, config)
    drawn = {
        "hits": figures.rate_curves(
            hits, config.toy_rates, "ends at the target (%)", 100
        ),
        "buffers": figures.courses(measured.courses),
        "streams": figures.rate_curves(online, config.stream_rates, _ONLINE, 100),
    }
    tables = [_toys_table(toys), scores.table(online, _ONLINE, 100)]
    if text:
        drawn["text"] = figures.rate_curves(text, config.text_rates, _TEST)
        tables.append(scores.table(text, _TEST))
    for one in measured.landscapes:
        if one.toy.name in _DRAWN and one.schedule == "cosine":
            some = (methods.ADAM, methods.SAM, methods.CG, methods.CM)
            ways = {row.name: one.found[row.name] for row in some}
            name = one.toy.name.replace(" ", "-").replace(",", "").replace(".", "")
            drawn[f"ways-{name}"] = figures.ways(
                one.toy, ways, config.toy_rates, _DRAWN_RATE
            )
    record = {
        "toys": toys,
        "buffers": measured.courses,
        "streams": online,
        "text": text,
    }
    return Report(record, tables, drawn)


def _toy_row(one: Landscape, name: str, at: Score, config: Config) -> dict[str, Any]:
    found, chosen = one.found[name], config.toy_rates.index(at.rate)
    half = found.hit.shape[1] // 2
    hit, other = found.hit[chosen, half:], one.elsewhere[half:]
    mean, width = mean_interval(hit)
    return {
        "where": one.name,
        "method": name,
        "rate": at.rate,
        "at_the_edge": at.at_the_edge,
        "rate_text": scores.rate_text(at),
        "hit": mean,
        "half": width,
        "escape_ratio": float(hit[other].mean()) if other.any() else float("nan"),
        "median_first_step": _median(found.first[chosen, half:]),
        "median_sharpness": _median(found.sharpness[chosen, half:]),
        "curve": at.curve,
    }


def _median(values: np.ndarray) -> float:
    finite = values[np.isfinite(values)]
    return float(np.median(finite)) if finite.size else float("nan")


def _toys_table(rows: list[dict[str, Any]]) -> Table:
    return Table(
        "landscapes, each method at the rate that it chose (* edge of the grid)",
        (
            "landscape",
            "method",
            "rate",
            "ends at the target (%)",
            "escapes (%)",
            "first there, step",
            "sharpness at the end",
        ),
        [
            (
                r["where"],
                r["method"],
                r["rate_text"],
                f"{100 * r['hit']:.0f} ± {100 * r['half']:.0f}",
                f"{100 * r['escape_ratio']:.0f}",
                f"{r['median_first_step']:.0f}",
                f"{r['median_sharpness']:.3g}",
            )
            for r in rows
        ],
    )
