"""Heads of a detector over a pyramid: shared, normalized together, pyramid convolution.

A dense head finds objects of 7 to 36 pixels on canvases of 64 by 64: each cell of three
levels says whether the centre of an object of its size lies in it, and which class it
is. All levels share the weights of the head.
"""

from __future__ import annotations

import dataclasses
import functools
import sys
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
import optax

from experiments.applications import canvases
from experiments.applications.application import QUICK, STANDARD, Application, Settings
from experiments.applications.canvases import Canvases
from experiments.applications.fitting import Fitter, in_batches
from experiments.applications.pyramid_heads.cells import (
    NOMINAL,
    SIZE,
    detections,
    score,
    targets,
)
from experiments.applications.pyramid_heads.detector import ARMS, detector, loss
from experiments.harness import figures
from experiments.harness.report import Report, Table
from experiments.harness.store import Store
from experiments.harness.verdicts import Claim
from jaxopt_lab.lab.statistics import mean_interval

BETWEEN = (11, 23)  # halfway between two levels, on the scale of logarithms
SETS = {"on a level": NOMINAL, "between levels": BETWEEN}
SCORES = (*SETS, *(f"{name}, class" for name in SETS))
THRESHOLDS = np.linspace(0.1, 0.9, 17)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Settings):
    """One size.

    Attributes:
      steps: of Adam.
      train: canvases to train on.
      test: canvases of each test set.
      batch: canvases of a step.
      width: channels of the pyramid.
      modules: convolutions of the head before its outputs.
      arms: of the detector.
      rate: the highest rate of Adam.
    """

    steps: int = 120
    train: int = 480
    test: int = 160
    batch: int = 16
    width: int = 12
    modules: int = 2
    arms: tuple[str, ...] = ARMS
    rate: float = 1e-2


class Measured(NamedTuple):
    """F1 scores by arm and test set, one for each seed, and numbers of parameters."""

    scores: dict[str, dict[str, np.ndarray]]
    parameters: dict[str, int]


def draw(
    config: Config, objects: canvases.Objects, seed: int
) -> tuple[Canvases, dict[str, Canvases]]:
    """Canvases to train on, with objects of all sizes, and the test sets."""
    rng = np.random.default_rng(seed)
    train = canvases.draw(
        objects.train, config.train, rng, size=SIZE, sides=range(7, 37)
    )
    tests = {
        name: canvases.draw(objects.test, config.test, rng, size=SIZE, sides=sides)
        for name, sides in SETS.items()
    }
    return train, tests


@functools.cache
def _programs(arm: str, config: Config) -> tuple[Fitter, Any]:
    """Training and logits of a head, compiled once for all seeds."""
    model = detector(arm, config.width, config.modules)
    rate = optax.cosine_decay_schedule(config.rate, config.steps)
    fitter = Fitter(model, loss(model), optax.flatten(optax.adam(rate)))
    return fitter, jax.jit(lambda p, s, x: model.apply(p, s, x, train=False)[0])


def judged(
    config: Config, arm: str, seed: int, train: Canvases, tests: dict[str, Canvases]
) -> dict[str, Any]:
    """Scores of a head that is trained from a seed, its threshold and parameters."""
    fitter, run = _programs(arm, config)
    arrays = {"images": train.images[..., None], "targets": targets(train)}
    fit = fitter.run(arrays, seed=seed, steps=config.steps, batch=config.batch)
    apply = lambda x: run(fit.params, fit.model_state, x)
    logits = lambda c: in_batches(apply, c.images[..., None], min(80, config.test))
    # The least probability of a detection is chosen on training canvases.
    few = Canvases(*(a[: min(80, config.test)] for a in train))
    seen = logits(few)
    least = max(THRESHOLDS, key=lambda t: score(detections(seen, t), few))
    found = {}
    for name, test in tests.items():
        own = detections(logits(test), least)
        found[name] = score(own, test)
        found[f"{name}, class"] = score(own, test, classes=True)
    count = sum(p.size for p in jax.tree.leaves(fit.params))
    return {"threshold": least, "parameters": count, **found}


def measure(config: Config, store: Store, fashion: Path | None = None) -> Measured:
    """Train every head from every seed, on canvases of that seed."""
    objects = canvases.load_objects(fashion)
    seeds = range(config.first_seed, config.first_seed + config.seeds)
    rows = store.group("runs")
    drawn = functools.cache(lambda seed: draw(config, objects, seed))
    scores = {arm: {name: [] for name in SCORES} for arm in config.arms}
    parameters = {}
    for arm in config.arms:
        for seed in seeds:
            row = rows.measured(
                f"{arm}, seed {seed}",
                lambda s=seed, a=arm: judged(config, a, s, *drawn(s)),
            )
            parameters[arm] = int(row["parameters"])
            for name in SCORES:
                scores[arm][name].append(float(row[name]))
    arrays = {a: {n: np.array(v) for n, v in s.items()} for a, s in scores.items()}
    return Measured(arrays, parameters)


def claims(measured: Measured, config: Config) -> list[Claim]:
    """Pyramid convolution against the head that is the same without neighbours."""
    if not set(ARMS[2:]) <= set(config.arms):
        return []
    ours, shared = (measured.scores[arm] for arm in (ARMS[3], ARMS[2]))
    gains = {name: 100 * (ours[name] - shared[name]) for name in SETS}
    on, between = gains.values()
    return [
        Claim(
            "pyramid convolution has a higher F1 than the shared head, both with an "
            "integrated norm",
            "all sizes",
            (on + between) / 2,
            unit=" points",
        ),
        Claim(
            "its gain is larger for sizes between two levels than for those of a level",
            "sizes",
            between - on,
            unit=" points",
        ),
    ]


def report(measured: Measured, config: Config) -> Report:
    """F1 of each arm on both test sets."""
    rows, bars = [], {}
    for arm, scores in measured.scores.items():
        every = [mean_interval(100 * scores[name]) for name in SCORES]
        cells = (f"{mean:.1f} ± {half:.1f}" for mean, half in every)
        bars[arm] = every[: len(SETS)]
        rows.append((arm, f"{measured.parameters[arm]:,}", *cells))
    table = Table(
        f"F1 in per cent of detections, {config.steps} steps, means over "
        f"{config.seeds} seeds with 95 % intervals; without and with the class",
        ("head", "parameters", *SCORES),
        rows,
    )
    figure, axes = figures.grid(1, 1, 6.0, 3.4)
    axis = axes[0, 0]
    colours = (figures.GREY, figures.OCHRE, figures.BLUE, figures.ORANGE)
    for i, (arm, values) in enumerate(bars.items()):
        places = np.arange(len(SETS)) + 0.2 * (i - 1.5)
        means, halves = np.array(values).T
        axis.bar(
            places, means, 0.18, yerr=halves, capsize=2, color=colours[i], label=arm
        )
    names = [f"{name}\n({', '.join(map(str, s))} pixels)" for name, s in SETS.items()]
    axis.set_xticks(range(len(SETS)), names)
    axis.set_ylabel("F1 of detections, %")
    figures.tidy(axis)
    figures.legend_right(figure, axis)
    return Report({"measured": measured}, [table], {"heads": figure})


APPLICATION = Application(
    name="pyramid_heads",
    parts=("pyramid_conv", "integrated_batch_norm"),
    purpose="Objects of many sizes found by one head over three levels of features: "
    "shared, with a norm of each level, with an integrated norm, and with pyramid "
    "convolution (SEPC). quick: half a minute; standard: two minutes, five seeds.",
    sizes={
        QUICK: Config(seeds=1, steps=20, train=64, test=40, modules=1, arms=ARMS[2:]),
        STANDARD: Config(seeds=5),
    },
    measure=measure,
    claims=claims,
    report=report,
    options=canvases.OPTIONS,
    prepare=canvases.prepare,
    paper="Wang et al. 2020, arXiv:2005.03101",
)

if __name__ == "__main__":
    sys.exit(APPLICATION.main())
