"""Phases of operations from their frames: a classifier, a running mean and an HMM.

Made operations go through eight phases in order, with some skipped and one repeated;
a frame shows the digit of its phase in noise, or a distractor. A small convolutional
network names the phase of single frames; a running mean of its probabilities, a hidden
Markov model from counts, and both smooth them, with later frames or without.
"""

from __future__ import annotations

import sys
from typing import Any, NamedTuple

import numpy as np

from experiments.applications.application import QUICK, STANDARD, Application
from experiments.applications.workflow_phases.config import METHODS, MODES, Config
from experiments.applications.workflow_phases.decoding import decoded, trained
from experiments.applications.workflow_phases.frames import Frames, jaccard, operations
from experiments.harness import figures
from experiments.harness.report import Report, Table
from experiments.harness.store import Store
from experiments.harness.verdicts import Claim
from jaxopt_lab.data import load_digits
from jaxopt_lab.lab.statistics import mean_interval


class Measured(NamedTuple):
    """Scores of all methods, and one operation of the first seed.

    Attributes:
      jaccard: ``(seeds,)`` by method and mode.
      accuracy: likewise.
      shown: phases ``(T,)`` of an operation, the true ones and by method.
    """

    jaccard: dict[str, np.ndarray]
    accuracy: dict[str, np.ndarray]
    shown: dict[str, np.ndarray]


def measure(config: Config, store: Store) -> Measured:
    """Train a classifier of each seed, and decode its test operations."""
    data = load_digits()
    rows = store.group("splits")
    seeds = range(config.first_seed, config.first_seed + config.seeds)
    found = [
        rows.measured(f"seed {s}", lambda s=s: of_seed(config, data, s)) for s in seeds
    ]
    names = [f"{method} {mode}" for method in METHODS for mode in MODES]
    scores = {
        what: {n: np.array([row[f"{what} {n}"] for row in found]) for n in names}
        for what in ("jaccard", "accuracy")
    }
    shown = {n: found[0][f"shown {n}"] for n in ("truth", *names)}
    return Measured(scores["jaccard"], scores["accuracy"], shown)


def of_seed(config: Config, data: Any, seed: int) -> dict[str, Any]:
    """Scores of a split: other operations, and other images to train and to test."""
    rng = np.random.default_rng(seed)
    tests = max(1, config.operations // 5)

    def made(part: Any, count: int) -> Frames:
        images = np.asarray(part["image"], np.float32).reshape(-1, 64)
        labels = np.asarray(part["label"])
        digits = {p: images[labels == p] for p in range(config.phases)}
        return operations(rng, config, digits, count)

    train = made(data.train, config.operations - tests)
    test = made(data.test, tests)
    found = decoded(config, trained(config, train, seed), train, test)
    row: dict[str, Any] = {"shown truth": test.phases[0][test.where[0]]}
    for name, phases in found.items():
        right = (phases == test.phases)[test.where]
        row[f"accuracy {name}"] = np.mean(right)
        row[f"jaccard {name}"] = jaccard(phases, test.phases, test.where)
        row[f"shown {name}"] = phases[0][test.where[0]]
    return row


def claims(measured: Measured, config: Config) -> list[Claim]:
    """The claims with their evidence."""
    of = lambda method, mode: measured.jaccard[f"{method} {mode}"]
    texts = {
        ("mean", "frame"): "a running mean has the higher Jaccard index than frames",
        ("mean + HMM", "mean"): "a hidden Markov model behind it raises the index",
    }
    return [
        Claim(text, mode, of(more, mode) - of(less, mode), scale=100, unit=" %")
        for mode in MODES
        for (more, less), text in texts.items()
    ]


def report(measured: Measured, config: Config) -> Report:
    """Numbers, the table and the figure."""
    cells = []
    for method in METHODS:
        for mode in MODES:
            scores = (measured.jaccard, measured.accuracy)
            texts = [_text(s[f"{method} {mode}"]) for s in scores]
            cells.append((method, mode, *texts))
    table = Table(
        f"{config.operations} operations of {config.phases} phases, window "
        f"{config.window}: means over {config.seeds} splits (95 % intervals), %",
        ("method", "mode", "Jaccard", "accuracy"),
        cells,
    )
    record = {"jaccard": measured.jaccard, "accuracy": measured.accuracy}
    return Report(record, [table], {"timeline": _figure(measured, config)})


def _text(values: np.ndarray) -> str:
    mean, half = mean_interval(100 * values)
    return f"{mean:.1f} ± {half:.1f}"


def _figure(measured: Measured, config: Config) -> Any:
    from matplotlib import colormaps
    from matplotlib.patches import Patch

    names = ["truth", "frame online"]
    names += [f"{m} {mode}" for mode in MODES for m in METHODS[1:]]
    figure, axes = figures.grid(1, 1, 9, 3.6)
    axis = axes[0, 0]
    lines = np.stack([measured.shown[name] for name in names])
    colours = colormaps["viridis"].resampled(config.phases)
    axis.imshow(
        lines,
        aspect="auto",
        interpolation="nearest",
        cmap=colours,
        vmin=-0.5,
        vmax=config.phases - 0.5,
    )
    labels = ["truth", "frame", *names[2:]]
    axis.set_yticks(range(len(labels)), labels)
    axis.set_xlabel("frame")
    axis.set_title("one test operation", fontsize="medium")
    axis.spines[:].set_visible(False)
    for line in range(1, len(labels)):
        axis.axhline(line - 0.5, color="white", linewidth=2)
    patches = [Patch(color=colours(p), label=str(p + 1)) for p in range(config.phases)]
    figure.legend(
        handles=patches, loc="outside right center", title="phase", frameon=False
    )
    return figure


APPLICATION = Application(
    name="workflow_phases",
    parts=("hidden_markov",),
    purpose="Phases of operations from frames: a classifier, a running mean of its "
    "probabilities and a hidden Markov model, online and offline. quick: 10 s; "
    "standard: five splits.",
    sizes={
        QUICK: Config(seeds=2, operations=20, steps=100),
        STANDARD: Config(seeds=5),
    },
    measure=measure,
    claims=claims,
    report=report,
    paper="Cadene et al. 2016, arXiv:1610.05541, from the abstract",
)

if __name__ == "__main__":
    sys.exit(APPLICATION.main())
