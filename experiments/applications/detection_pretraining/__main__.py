"""Pre-training of a detector by boxes without classes and embeddings of objects.

A tiny DETR learns boxes on canvases without labels, with and without alignment of its
queries to embeddings of the objects in them; then classes on a hundred canvases. The
embeddings are principal components of the objects' pixels. Detections are scored by
their centres (within half a side) and classes.

Smaller than the paper's in every way: no convolution, no trained network for the
embeddings, and so few steps that classes are told little better than by chance, while
centres are found. The assignment is exact, by enumeration inside the compiled step.
"""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from experiments.applications import canvases
from experiments.applications.application import QUICK, STANDARD, Application, Settings
from experiments.applications.canvases import Canvases
from experiments.applications.detection_pretraining.detector import (
    SIZE,
    Shape,
    class_head,
    init,
    patches,
)
from experiments.applications.detection_pretraining.objective import (
    Batch,
    Weights,
    finder,
    stepper,
)
from experiments.applications.detection_pretraining.scenes import (
    batch_of,
    detections,
    embedding,
)
from experiments.applications.pyramid_heads.cells import score
from experiments.harness import figures
from experiments.harness.report import Report, Table
from experiments.harness.store import Store
from experiments.harness.verdicts import Claim
from jaxopt_lab.lab.statistics import mean_interval

BOXES, DISTANCE, CONTRAST, FULL = (
    "boxes only",
    "L1 alignment",
    "InfoNCE",
    "InfoNCE, enhancement, siamese",
)
ARMS = {
    BOXES: Weights(),
    DISTANCE: Weights(distance=1.0),
    CONTRAST: Weights(contrast=1.0),
    FULL: Weights(contrast=1.0, enhanced=1.0),
}
SCORES = ("centre", "centre and class")
THRESHOLDS = np.linspace(0.1, 0.9, 17)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Settings):
    """One size.

    Attributes:
      steps: of pre-training.
      tuning: steps of fine-tuning.
      unlabelled: canvases of pre-training.
      labelled: canvases of fine-tuning.
      test: canvases of the score.
      batch: canvases of a step.
      rate: the highest rate of Adam.
      width: of the tokens.
      depth: layers of the encoder, of the decoder and of mutual enhancement.
      heads: of attention.
      hidden: units of the perceptrons.
      queries: of the decoder.
      effort: of the compiler, from 0: quickly compiled; 1 runs faster.
    """

    steps: int = 150
    tuning: int = 80
    unlabelled: int = 480
    labelled: int = 100
    test: int = 200
    batch: int = 16
    rate: float = 3e-3
    width: int = 32
    depth: int = 1
    heads: int = 4
    hidden: int = 64
    queries: int = 8
    effort: int = 1

    @property
    def shape(self) -> Shape:
        """Sizes of the detector."""
        return Shape(self.width, self.depth, self.heads, self.hidden, self.queries)


class Data(NamedTuple):
    """Canvases of a seed."""

    unlabelled: Batch
    labelled: Batch
    tuning: Canvases
    test: Canvases


def draw(config: Config, objects: canvases.Objects, seed: int) -> Data:
    """The canvases of a seed, with objects of 10 to 18 pixels."""
    rng = np.random.default_rng(seed)
    given = {"size": SIZE, "sides": range(10, 19), "most": 4}
    unlabelled = canvases.draw(objects.train, config.unlabelled, rng, **given)
    labelled = canvases.draw(objects.train, config.labelled, rng, **given)
    test = canvases.draw(objects.test, config.test, rng, **given)
    embed = embedding(unlabelled, config.shape.width)
    first = batch_of(unlabelled, embed, classes=False)
    second = batch_of(labelled, embed, classes=True)
    return Data(first, second, labelled, test)


def train(
    params: Any,
    batches: list[Batch],
    config: Config,
    steps: int,
    weights: Weights,
) -> Any:
    """Detectors of all seeds, trained by Adam at a rate that falls to 0 by a cosine.

    Args:
      params: with an axis of seeds in front.
      batches: all canvases of each seed.
      config: size of a step, rate and shape.
      steps: number of steps.
      weights: of the losses.

    Returns:
      Parameters.
    """
    start, step = stepper(config.shape, config.effort)
    state, rng = start(params), np.random.default_rng(steps)
    weights = Weights(*(np.float32(w) for w in weights))
    for i in range(steps):
        chosen = []
        for own in batches:
            at = rng.choice(len(own.tokens), config.batch, replace=False)
            chosen.append(Batch(*(array[at] for array in own)))
        batch = jax.tree.map(lambda *x: np.stack(x), *chosen)
        rate = np.float32(config.rate * (1 + np.cos(np.pi * i / steps)) / 2)
        params, state, _ = step(params, state, batch, weights, rate)
    return params


def scores(params: Any, data: list[Data], config: Config) -> dict[str, np.ndarray]:
    """F1 scores of each seed; the least probability is chosen on labelled canvases."""
    find = finder(config.shape, config.effort)

    def found(sets: list[Canvases]) -> list[tuple[np.ndarray, np.ndarray]]:
        tokens = np.stack([patches(own.images) for own in sets])
        rows, boxes = jax.device_get(find(params, tokens))
        return list(zip(rows, boxes, strict=True))

    seen = found([own.tuning for own in data])
    tests = found([own.test for own in data])
    results: dict[str, list[float]] = {name: [] for name in SCORES}
    for own, known, new in zip(data, seen, tests, strict=True):
        every = [
            score(detections(*known, t), own.tuning, classes=True) for t in THRESHOLDS
        ]
        rows = detections(*new, THRESHOLDS[np.argmax(every)])
        for name, classes in zip(SCORES, (False, True), strict=True):
            results[name].append(100 * score(rows, own.test, classes=classes))
    return {name: np.array(values) for name, values in results.items()}


def measure(
    config: Config, store: Store, fashion: Path | None = None
) -> dict[str, dict[str, np.ndarray]]:
    """Pre-train and fine-tune the detectors of all seeds at once, arm by arm."""
    objects = canvases.load_objects(fashion)
    seeds = range(config.first_seed, config.first_seed + config.seeds)
    data = [draw(config, objects, seed) for seed in seeds]
    stacked = lambda trees: jax.tree.map(lambda *x: np.stack(x), *trees)
    first = stacked([init(seed, config.shape) for seed in seeds])
    heads = stacked(
        [class_head(np.random.default_rng([seed, 4]), config.shape) for seed in seeds]
    )

    def run(arm: str) -> dict[str, np.ndarray]:
        boxes = [own.unlabelled for own in data]
        params = train(first, boxes, config, config.steps, ARMS[arm])
        params = {**params, "class": heads}
        labelled = [own.labelled for own in data]
        params = train(params, labelled, config, config.tuning, Weights())
        return scores(params, data, config)

    rows = store.group("runs")
    return {arm: rows.measured(arm, lambda arm=arm: run(arm)) for arm in ARMS}


def claims(measured: dict[str, dict[str, np.ndarray]], config: Config) -> list[Claim]:
    """The whole method against boxes only, and against alignment by a distance."""
    del config
    name = SCORES[1]
    return [
        Claim(
            "pre-training with InfoNCE, mutual enhancement and a siamese head gives a "
            f"higher F1 than {other}",
            name,
            measured[FULL][name] - measured[arm][name],
            unit=" points",
        )
        for arm, other in (
            (BOXES, "that with boxes only"),
            (DISTANCE, "that with alignment by the L1 distance"),
        )
    ]


def report(measured: dict[str, dict[str, np.ndarray]], config: Config) -> Report:
    """F1 of each arm; see ``Experiment.report``."""
    values = {
        arm: [mean_interval(own[name]) for name in SCORES]
        for arm, own in measured.items()
    }
    table = Table(
        f"F1 in per cent on {config.test} canvases after {config.steps} steps of "
        f"pre-training and {config.tuning} on {config.labelled} labelled canvases, "
        f"means over {config.seeds} seeds with 95 % intervals",
        ("pre-training", *SCORES),
        [
            (arm, *(f"{mean:.1f} ± {half:.1f}" for mean, half in own))
            for arm, own in values.items()
        ],
    )
    figure, ((axis,),) = figures.grid(1, 1, 7.0, 3.4)
    colours = (figures.GREY, figures.OCHRE, figures.BLUE, figures.ORANGE)
    for i, (arm, own) in enumerate(values.items()):
        means, halves = np.array(own).T
        places = np.arange(len(SCORES)) + 0.2 * (i - 1.5)
        axis.bar(
            places, means, 0.18, yerr=halves, capsize=2, color=colours[i], label=arm
        )
    axis.set_xticks(range(len(SCORES)), SCORES)
    axis.set_ylabel("F1 of detections, %")
    figures.tidy(axis)
    figures.legend_right(figure, axis)
    return Report({"measured": measured}, [table], {"pretraining": figure})


APPLICATION = Application(
    name="detection_pretraining",
    parts=("two_way_attention",),
    purpose="A tiny DETR pre-trained on boxes without classes: with boxes only, with "
    "embeddings of the objects by L1 or InfoNCE, and with mutual enhancement (MutDet).",
    sizes={
        QUICK: Config(
            seeds=1, steps=10, tuning=10, unlabelled=64, labelled=40, test=40, effort=0
        ),
        STANDARD: Config(seeds=5),
    },
    measure=measure,
    claims=claims,
    report=report,
    options=canvases.OPTIONS,
    prepare=canvases.prepare,
    paper="Huang et al. 2024, arXiv:2407.09920",
)

if __name__ == "__main__":
    sys.exit(APPLICATION.main())
