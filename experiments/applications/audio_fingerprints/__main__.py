"""Recordings of the same events, found, ordered and judged by audio fingerprints.

Forty bad recordings of six concerts, and ten unrelated ones that share a jingle, are
matched by landmarks of spectral peaks. A filter removes false pairs; what is left gives
the events, the places of the recordings on their time lines, and their quality.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from experiments.applications.application import QUICK, STANDARD, Application
from experiments.applications.audio_fingerprints.config import HOP, RATE, Config
from experiments.applications.audio_fingerprints.events import (
    components,
    positions,
    quality,
)
from experiments.applications.audio_fingerprints.filtering import Edges, filtered
from experiments.applications.audio_fingerprints.landmarks import (
    Pairs,
    landmarks,
    pairs,
)
from experiments.applications.audio_fingerprints.sound import (
    Clips,
    clips,
    read_sounds,
)
from experiments.harness import figures
from experiments.harness.report import Report, Table
from experiments.harness.store import Store
from experiments.harness.verdicts import Claim
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.lab.statistics import mean_interval
from jaxopt_lab.metrics.rank_correlation import rank_correlation

SCORES = ("F1 before", "F1 after", "offset error", "by quality", "by energy")
_OTHERS = 1000  # steps between the seeds of the sets that a filter is trained on


class Measured(NamedTuple):
    """Scores, and the largest event of the first seed.

    Attributes:
      scores: ``(seeds,)`` by name: F1 of the pairs before and after the filter, median
        error of the offsets in frames, rank correlations with the signal over noise.
      shown: ``(recordings,)`` each: ``place`` and ``start`` (the true one), ``length``
        in seconds, and ``quality``; ``start`` is NaN for a recording of another event.
    """

    scores: dict[str, np.ndarray]
    shown: dict[str, np.ndarray]


def prepare(
    config: Config, *, audio: str | None = None
) -> tuple[Config, dict[str, Any]]:
    """Read the WAV files of ``audio=FOLDER``."""
    if audio is None:
        return config, {}
    if not Path(audio).is_dir():
        raise InputError(f"audio={audio} is no folder; accepted: one with WAV files")
    return config, {"audio": audio, "sources": read_sounds(Path(audio), config.longest)}


def measure(
    config: Config,
    store: Store,
    *,
    audio: str = "",
    sources: list[np.ndarray] | None = None,
) -> Measured:
    """Match the recordings of every seed; see ``Experiment.measure``."""
    rows = store.group("seeds")
    seeds = range(config.first_seed, config.first_seed + config.seeds)
    found = [
        rows.measured(f"seed {s}", lambda s=s: of_seed(config, s, sources), audio)
        for s in seeds
    ]
    scores = {name: np.array([row[name] for row in found]) for name in SCORES}
    shown = {n: found[0][n] for n in ("place", "start", "length", "quality")}
    return Measured(scores, shown)


def matched(config: Config, made: Clips) -> Edges:
    """The pairs of recordings with enough landmarks in common."""
    each = [landmarks(sound) for sound in made.sounds]
    found = pairs(each)
    found = Pairs(*(x[found.matches >= config.least] for x in found))
    frames = np.array([len(sound) // HOP - 1 for sound in made.sounds])
    return Edges(found, frames, np.array([len(s.code) for s in each]))


def true_pairs(config: Config, made: Clips) -> np.ndarray:
    """Whether two recordings have part of an event in common, a matrix."""
    end = made.start + made.seconds()
    common = np.minimum.outer(end, end) - np.maximum.outer(made.start, made.start)
    same = made.event[:, None] == made.event
    return same & (common >= config.overlap) & ~np.eye(len(end), dtype=bool)


def of_seed(
    config: Config, seed: int, sources: list[np.ndarray] | None
) -> dict[str, Any]:
    """Scores of a set of recordings, with a filter from two other sets."""
    made, *others = (
        clips(np.random.default_rng(s), config, sources)
        for s in (seed, _OTHERS + seed, 2 * _OTHERS + seed)
    )
    test, *train = (matched(config, c) for c in (made, *others))
    truth = true_pairs(config, made)
    right = [
        true_pairs(config, c)[edges.found.a, edges.found.b]
        for c, edges in zip(others, train, strict=True)
    ]
    kept = filtered(train, right, test, rounds=config.rounds)
    every = np.ones(len(kept), bool)
    a, b = test.found.a, test.found.b
    gap = test.found.offset - (made.start[b] - made.start[a]) * RATE / HOP
    event = components(test.found, kept, len(made.event))
    place = positions(test.found, kept, event) * HOP / RATE
    value = quality(test.found, kept, event, test.frames)
    known = np.isfinite(value)
    energy = np.array([np.mean(sound**2) for sound in made.sounds])
    own = event == np.bincount(event).argmax()
    return {
        "F1 before": f1(truth, a[every], b[every]),
        "F1 after": f1(truth, a[kept], b[kept]),
        "offset error": np.median(np.abs(gap[kept & truth[a, b]])),
        "by quality": rank_correlation(value[known], made.snr[known]),
        "by energy": rank_correlation(energy[known], made.snr[known]),
        "place": place[own],
        "start": _true_places(made, own, place),
        "length": made.seconds()[own],
        "quality": value[own],
    }


def _true_places(made: Clips, own: np.ndarray, place: np.ndarray) -> np.ndarray:
    """True places of most of a found event, about the first of them; NaN: another's."""
    events, start = made.event[own], made.start[own]
    most = np.flatnonzero(events == np.bincount(events).argmax())
    found = np.full(len(events), np.nan)
    found[most] = start[most] - start[most[0]] + place[own][most[0]]
    return found


def f1(truth: np.ndarray, a: np.ndarray, b: np.ndarray) -> float:
    """Harmonic mean of precision and recall of pairs; 0 if there are none."""
    total = len(a) + np.sum(truth) / 2
    return float(2 * np.sum(truth[a, b]) / total) if total else 0.0


def claims(measured: Measured, config: Config) -> list[Claim]:
    """The claims with their evidence."""
    s = measured.scores
    where = f"{config.clips} recordings, {config.unrelated} unrelated"
    return [
        Claim(
            "the filter raises the F1 of the pairs",
            where,
            s["F1 after"] - s["F1 before"],
            scale=100,
            unit=" %",
        ),
        Claim(
            "the median error of the offsets is at most a frame (32 ms)",
            where,
            s["offset error"],
            (-np.inf, 1.0),
            unit=" frames",
        ),
        Claim(
            "the rank correlation of quality and signal over noise is above 0.5",
            where,
            s["by quality"],
            (0.5, np.inf),
        ),
        Claim(
            "matches order the recordings better than their energy",
            where,
            s["by quality"] - s["by energy"],
        ),
    ]


def report(measured: Measured, config: Config) -> Report:
    """Numbers, the table and the figure."""
    texts = {
        "F1 before": "F1 of the pairs, without the filter",
        "F1 after": "F1 of the pairs, with the filter",
        "offset error": "median error of the offsets, frames",
        "by quality": "rank correlation of signal over noise with the quality",
        "by energy": "with the energy",
    }
    rows = []
    for name, text in texts.items():
        mean, half = mean_interval(measured.scores[name])
        rows.append((text, f"{mean:.3f} ± {half:.3f}"))
    table = Table(
        f"{config.clips} recordings of {config.concerts} events and "
        f"{config.unrelated} unrelated ones, {config.seeds} seeds",
        ("measure", "mean (95 % interval)"),
        rows,
    )
    return Report({"scores": measured.scores}, [table], {"event": _figure(measured)})


def _figure(measured: Measured) -> Any:
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    shown = measured.shown
    order = np.argsort(shown["place"])
    figure, axes = figures.grid(1, 1, 8, 1.6 + 0.25 * len(order))
    axis = axes[0, 0]
    values = shown["quality"][order]
    map_ = ScalarMappable(Normalize(0, max(1e-9, np.nanmax(values))), "viridis")
    axis.barh(
        np.arange(len(order)),
        shown["length"][order],
        left=shown["place"][order],
        color=map_.to_rgba(np.nan_to_num(values)),
        height=0.7,
    )
    axis.plot(
        shown["start"][order],
        np.arange(len(order)),
        "|",
        color=figures.RED,
        markersize=14,
        markeredgewidth=2,
        label="true start",
    )
    axis.set_yticks([])
    axis.set_ylabel("recordings")
    axis.set_xlabel("seconds after the start of the first recording")
    axis.set_title("the largest event, as it was put together", fontsize="medium")
    figures.tidy(axis)
    figure.legend(loc="outside lower center", frameon=False)
    figure.colorbar(map_, ax=axis, label="quality, matches a second")
    return figure


APPLICATION = Application(
    name="audio_fingerprints",
    parts=("info_nce",),
    purpose="Bad recordings of the same concerts, found, put in order and judged by "
    "landmarks of their spectra. quick: 10 s; standard: five seeds.",
    sizes={
        QUICK: Config(seeds=1, clips=16, unrelated=4, concerts=3),
        STANDARD: Config(seeds=5),
    },
    measure=measure,
    claims=claims,
    report=report,
    options={"audio": "folder of WAV files that take the place of the made concerts"},
    prepare=prepare,
    paper="landmarks as of Wang 2003 (Shazam), from memory; constants are ours",
)

if __name__ == "__main__":
    sys.exit(APPLICATION.main())
