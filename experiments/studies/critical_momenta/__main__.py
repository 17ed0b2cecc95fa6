"""``python -m experiments.studies.critical_momenta quick|full``; see ``--help``."""

from __future__ import annotations

import dataclasses
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from experiments.studies import command
from experiments.studies import scores as claims
from experiments.studies.critical_momenta import figures, methods
from experiments.studies.critical_momenta.config import CONFIGS, Config
from experiments.studies.critical_momenta.toys import TOYS
from experiments.studies.tables import print_table
from jaxopt_lab.lab.statistics import bootstrap_interval

_PURPOSE = (
    "Adam, and Adam with critical momenta (CM), critical gradients (CG), SAM and\n"
    "Lookahead: which minimum they reach on landscapes with several, and how fast;\n"
    "how old a buffer is and how long the steps are; online learning on a stream of\n"
    "tasks (digits, or Fashion-MNIST); a small LSTM. Each chooses its learning rate\n"
    "on one half of the starts or seeds and is scored on the other. Writes\n"
    "results.json and figures."
)
_OPTIONS = {
    "fashion": "folder of Fashion-MNIST's IDX files, for the streams; default: digits",
    "text": "a text file for the LSTM; without it that panel is left out",
}
_DRAWN = ("wells .1", "levy, 2-D")
_DRAWN_RATE = 0.1
Scores = dict[str, dict[str, claims.Score]]


def run(
    config: Config, folder: Path, fashion: str | None = None, text: str | None = None
) -> list[claims.Verdict]:
    """Run every panel.

    Args:
      config: the size of the experiment.
      folder: gets ``results.json`` and the figures; made if it is not there.
      fashion: folder of Fashion-MNIST.
      text: a text file.

    Returns:
      The verdicts.

    Raises:
      InputError: data are not there.
    """
    from experiments.studies.critical_momenta import streams
    from jaxopt_lab.data.text import load_text

    # Before the landscapes take their minutes, so that a typo ends the run at once.
    place = None if fashion is None else Path(fashion).expanduser()
    source = streams.examples(place)
    words = None if text is None else load_text(text, config.context)
    folder.mkdir(parents=True, exist_ok=True)
    record: dict[str, Any] = {"config": dataclasses.asdict(config)}
    told = _toys(config, folder, record)
    _save(folder, record, told)
    _buffers(config, folder, record)
    told += _streams(config, folder, record, source)
    _save(folder, record, told)
    if words is None:
        print("without the panel text: text=FILE names a text", flush=True)
    else:
        told += _text(config, folder, record, words)
    _save(folder, record, told)
    _print_verdicts(told)
    return told


def _save(folder: Path, record: dict[str, Any], told: list[claims.Verdict]) -> None:
    record["verdicts"] = [verdict._asdict() for verdict in told]
    (folder / "results.json").write_text(json.dumps(record, indent=1) + "\n")


class _Timed:
    """Prints a line when something is done, with the seconds that it took."""

    def __init__(self, what: str) -> None:
        self._what = what

    def __enter__(self) -> None:
        self._began = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        print(f"{self._what}: {time.perf_counter() - self._began:.0f} s", flush=True)


def _toys(config: Config, folder: Path, record: dict[str, Any]) -> list[claims.Verdict]:
    from experiments.studies.critical_momenta import escapes

    told: list[claims.Verdict] = []
    rows = record["toys"] = []
    panels: Scores = {}
    for toy in TOYS:
        if config.toys and toy.name not in config.toys:
            continue
        elsewhere = escapes.elsewhere(toy, config)
        for schedule in config.schedules:
            where = f"{toy.name}, {schedule}"
            with _Timed(where):
                found = {
                    row.name: escapes.escapes(row, toy, schedule, config)
                    for row in methods.ON_TOYS
                }
            scores = {
                n: claims.score(e.hit, config.toy_rates) for n, e in found.items()
            }
            panels[where] = scores
            rows += [
                _toy_row(where, n, found[n], scores[n], elsewhere, config)
                for n in found
            ]
            # With a constant rate C = 5 at 0.7 cannot settle; slower keys can.
            ours = [methods.CM] + [methods.CM_SLOW] * (schedule == "constant")
            told += [
                claims.verdict(where, scores, row.name, other)
                for row in ours
                for other in (methods.ADAM.name, methods.SAM.name, methods.CG.name)
            ]
            if toy.name in _DRAWN and schedule == "cosine":
                some = {
                    row.name: found[row.name]
                    for row in (methods.ADAM, methods.SAM, methods.CG, methods.CM)
                }
                figure = figures.ways(toy, some, config.toy_rates, _DRAWN_RATE)
                name = toy.name.replace(" ", "-").replace(",", "").replace(".", "")
                figure.savefig(folder / f"ways-{name}.png", dpi=110)
    figure = figures.rate_curves(
        panels, config.toy_rates, "ends at the target (%)", 100
    )
    figure.savefig(folder / "hits.png", dpi=110)
    _print_toys(rows)
    return told


def _toy_row(
    where: str,
    name: str,
    found: Any,
    score: claims.Score,
    elsewhere: np.ndarray,
    config: Config,
) -> dict[str, Any]:
    at = config.toy_rates.index(score.rate)
    half = found.hit.shape[1] // 2
    hit, other = found.hit[at, half:], elsewhere[half:]
    low, high = bootstrap_interval(hit)
    first = found.first[at, half:]
    return {
        "where": where,
        "method": name,
        "rate": score.rate,
        "at_the_edge": score.at_the_edge,
        "hit": float(hit.mean()),
        "low": low,
        "high": high,
        "escape_ratio": float(hit[other].mean()) if other.any() else float("nan"),
        "median_first_step": _median(first),
        "median_sharpness": _median(found.sharpness[at, half:]),
        "curve": score.curve.tolist(),
    }


def _median(values: np.ndarray) -> float:
    finite = values[np.isfinite(values)]
    return float(np.median(finite)) if finite.size else float("nan")


def _buffers(config: Config, folder: Path, record: dict[str, Any]) -> None:
    from experiments.studies.critical_momenta import buffers

    chosen = (
        methods.ADAM,
        methods.CG,
        methods.CM,
        methods.CM_SLOW,
        methods.CM_LARGE_FAST,
        methods.CM_LARGE,
    )
    with _Timed("buffers"):
        found = {row.name: buffers.course(row, config) for row in chosen}
    record["buffers"] = {
        name: {field: values.tolist() for field, values in course._asdict().items()}
        for name, course in found.items()
    }
    figures.courses(found).savefig(folder / "buffers.png", dpi=110)


def _streams(
    config: Config, folder: Path, record: dict[str, Any], source: Any
) -> list[claims.Verdict]:
    from experiments.studies.critical_momenta import streams

    told: list[claims.Verdict] = []
    panels: Scores = {}
    for change in streams.CHANGES:
        where = f"stream of {source.name}, {change}"
        with _Timed(where):
            stream = streams.streams(change, config, source)
            panels[where] = {
                row.name: claims.score(
                    streams.accuracies(row, stream, config), config.stream_rates
                )
                for row in methods.ON_NETWORKS
            }
        told += [
            claims.verdict(where, panels[where], methods.CM.name, other)
            for other in (methods.ADAM.name, methods.SAM_SMALL.name, methods.CG.name)
        ]
    label = "online accuracy (%)"
    figures.rate_curves(panels, config.stream_rates, label, 100).savefig(
        folder / "streams.png", dpi=110
    )
    record["streams"] = _scores(panels)
    _print_scores(panels, label, 100)
    return told


def _text(
    config: Config, folder: Path, record: dict[str, Any], words: Any
) -> list[claims.Verdict]:
    from experiments.studies.critical_momenta import language

    with _Timed("text"):
        scores = {
            row.name: claims.score(
                language.test_losses(row, words, config),
                config.text_rates,
                higher_is_better=False,
            )
            for row in methods.ON_NETWORKS
        }
    panels = {"text": scores}
    label = "test loss (nats a character)"
    figures.rate_curves(panels, config.text_rates, label).savefig(
        folder / "text.png", dpi=110
    )
    record["text"] = _scores(panels)
    _print_scores(panels, label, 1)
    return [
        claims.verdict("text", scores, methods.CM.name, other, higher_is_better=False)
        for other in (methods.ADAM.name, methods.CG.name)
    ]


def _scores(panels: Scores) -> dict[str, Any]:
    return {
        where: {
            name: {
                "rate": s.rate,
                "at_the_edge": s.at_the_edge,
                "values": s.values.tolist(),
                "curve": s.curve.tolist(),
            }
            for name, s in scores.items()
        }
        for where, scores in panels.items()
    }


def _print_toys(rows: Sequence[dict[str, Any]]) -> None:
    print_table(
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
                f"{r['rate']:g}" + ("*" if r["at_the_edge"] else ""),
                f"{100 * r['hit']:.0f} ({100 * r['low']:.0f} to {100 * r['high']:.0f})",
                f"{100 * r['escape_ratio']:.0f}",
                f"{r['median_first_step']:.0f}",
                f"{r['median_sharpness']:.3g}",
            )
            for r in rows
        ],
    )


def _print_scores(panels: Scores, label: str, scale: float) -> None:
    rows = []
    for where, scores in panels.items():
        for name, s in scores.items():
            low, high = bootstrap_interval(s.values)
            rows.append(
                (
                    where,
                    name,
                    f"{s.rate:g}" + ("*" if s.at_the_edge else ""),
                    f"{scale * s.values.mean():.3f} "
                    f"({scale * low:.3f} to {scale * high:.3f})",
                )
            )
    print_table(label, ("panel", "method", "rate", label), rows)


def _print_verdicts(told: Sequence[claims.Verdict]) -> None:
    print_table(
        "claims, paired over starts or seeds",
        ("where", "claim", "difference", "verdict"),
        [
            (
                v.where,
                f"{v.better} better than {v.worse}",
                f"{v.difference:+.3f} ({v.low:+.3f} to {v.high:+.3f})",
                v.word,
            )
            for v in told
        ],
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
      arguments: the words after the program's name; ``None``: those of the process.

    Returns:
      Exit status, see ``command.main``.
    """
    return command.main("critical_momenta", _PURPOSE, CONFIGS, run, arguments, _OPTIONS)


if __name__ == "__main__":
    sys.exit(main())
