"""Anomalies of textures: errors of reconstruction, and the discrepancy of attention.

Crops of 64 by 64 pixels are 64 tokens of filter responses. A small transformer that has
seen one texture reconstructs them by attention within the crop, to a template, or by
the difference of both; each attention is driven away from a Gaussian neighbourhood of
the token or towards it. The error of a token, times how far its attention is from what
is usual, finds patches of other textures, scratches and swapped patches.
"""

from __future__ import annotations

import dataclasses
import functools
import sys
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments.applications.application import QUICK, STANDARD, Application, Settings
from experiments.applications.canvases import resized
from experiments.applications.texture_anomalies import model, textures
from experiments.applications.texture_anomalies.textures import GRID, KINDS, NAMES, SIDE
from experiments.harness import figures
from experiments.harness.report import Report, Table
from experiments.harness.store import Store
from experiments.harness.verdicts import Claim
from experiments.studies.programs import trained
from jaxopt_lab.core.rank_correlation import roc_area
from jaxopt_lab.lab.statistics import mean_interval

ARMS = tuple(model.BRANCHES)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Settings):
    """One size.

    Attributes:
      steps: of Adam.
      train: crops to train on, of each texture.
      test: crops with anomalies, of each texture.
      batch: crops of a step.
      components: features of a token.
      width: of the layers.
      heads: of the attentions.
      depth: number of layers.
      rate: of Adam.
      arms: names of the attentions.
    """

    steps: int = 120
    train: int = 200
    test: int = 45
    batch: int = 8
    components: int = 32
    width: int = 32
    heads: int = 2
    depth: int = 2
    rate: float = 1e-3
    arms: tuple[str, ...] = ARMS


class Measured(NamedTuple):
    """Results.

    Attributes:
      areas: area under the ROC curve of pixels by arm, ``(seeds, textures)``.
      kinds: the same of crops of one kind, ``(seeds, textures, kinds)``.
      images: a crop of every texture with its wrong pixels, of the first seed.
      maps: their scores, ``{arm: (textures, side, side)}``.
    """

    areas: dict[str, np.ndarray]
    kinds: dict[str, np.ndarray]
    images: np.ndarray
    maps: dict[str, np.ndarray]


def _area(scores: np.ndarray, wrong: np.ndarray) -> float:
    return roc_area(scores[~wrong], scores[wrong])


@functools.cache
def trainer(config: Config, arm: str) -> Any:
    """``run(params, train, test, places) -> scores`` of one texture, jitted.

    ``places`` are the numbers of the training crops of each step, ``(steps, batch)``.
    """
    sizes = {"heads": config.heads, "depth": config.depth}
    rate = optax.cosine_decay_schedule(config.rate, config.steps)
    tx = optax.flatten(optax.adam(rate))

    @jax.jit
    def run(params: Any, train: Any, test: Any, places: Any) -> jax.Array:
        template = jnp.mean(train, axis=0)

        def loss(params: Any, batch: jax.Array) -> jax.Array:
            x = train[batch]
            y, every = model.forward(params, x, template, arm, **sizes)
            return model.loss(x, y, every, arm)

        params, _ = trained(loss, tx, params, places)
        y, every = model.forward(params, test, template, arm, **sizes)
        return model.scores(test, y, every, arm)

    return run


def judged(
    config: Config, arm: str, seed: int, drawn: Mapping[str, Any]
) -> dict[str, Any]:
    """Areas of every texture from one seed, and the scores of a crop of each."""
    run, whole, parts, shown = trainer(config, arm), [], [], []
    sizes = {"width": config.width, "heads": config.heads, "depth": config.depth}
    for i, (train, test, crops) in enumerate(drawn.values()):
        rng = np.random.default_rng([seed, i, 1])
        params = model.init(rng, features=train.shape[-1], **sizes)
        places = rng.integers(0, len(train), (config.steps, config.batch))
        scores = np.asarray(run(params, train, test, places)).reshape(-1, GRID, GRID)
        pixels = np.stack([resized(tokens, SIDE) for tokens in scores])
        whole.append(_area(pixels, crops.wrong))
        own = [crops.kinds == k for k in range(len(KINDS))]
        parts.append([_area(pixels[k], crops.wrong[k]) for k in own])
        shown.append(pixels[i % len(KINDS)])
    return {"areas": whole, "kinds": parts, "map": np.stack(shown).round(5)}


def draw(config: Config, every: dict[str, np.ndarray], seed: int) -> Any:
    """Features of training and test crops, and the test crops, by texture."""
    rng, found = np.random.default_rng(seed), {}
    for i, name in enumerate(NAMES):
        texture, other = every[name], every[NAMES[(i + 1) % len(NAMES)]]
        half = texture.shape[1] // 2
        seen = textures.crop(texture[:, :half], rng, config.train)
        test = textures.with_anomalies(
            texture[:, half:], other[:, half:], rng, config.test
        )
        features = textures.fit_features(seen, config.components)
        found[name] = features.of(seen), features.of(test.images), test
    return found


def measure(config: Config, store: Store, textures: str) -> Measured:
    """Train every arm on every texture from every seed."""
    from experiments.applications.texture_anomalies.textures import load_textures

    every = load_textures(textures)
    seeds = range(config.first_seed, config.first_seed + config.seeds)
    drawn = {seed: draw(config, every, seed) for seed in seeds}
    rows = store.group("runs")
    areas, kinds, maps = {}, {}, {}
    for arm in config.arms:
        found = [
            rows.measured(
                f"{arm}, seed {s}",
                functools.partial(judged, config, arm, s, drawn[s]),
            )
            for s in seeds
        ]
        areas[arm] = np.stack([row["areas"] for row in found])
        kinds[arm] = np.stack([row["kinds"] for row in found])
        maps[arm] = found[0]["map"]
    crops = [test for _, _, test in drawn[seeds[0]].values()]
    images = [
        np.stack([c.images[i % len(KINDS)], c.wrong[i % len(KINDS)]])
        for i, c in enumerate(crops)
    ]
    return Measured(areas, kinds, np.stack(images), maps)


def claims(measured: Measured, config: Config) -> list[Claim]:
    """The full model against reconstruction alone."""
    if not {"full", "reconstruction"} <= set(config.arms):
        return []
    means = {arm: 100 * a.mean(axis=1) for arm, a in measured.areas.items()}
    text = "the full model has a larger area under the ROC curve of pixels than "
    return [
        Claim(
            text + "reconstruction alone",
            "mean of three textures",
            means["full"] - means["reconstruction"],
            unit=" points",
        )
    ]


def report(measured: Measured, config: Config) -> Report:
    """Areas by texture and kind; a crop of each texture with its scores."""
    lines = []
    for arm in config.arms:
        areas, kinds = 100 * measured.areas[arm], 100 * measured.kinds[arm].mean(axis=1)
        mean, half = mean_interval(areas.mean(axis=1))
        cells = [*areas.mean(axis=0), *kinds.mean(axis=0)]
        lines.append((arm, f"{mean:.1f} ± {half:.1f}", *(f"{x:.1f}" for x in cells)))
    table = Table(
        f"Area under the ROC curve of pixels in per cent, {config.steps} steps, means "
        f"over {config.seeds} seeds; by texture, and by kind of anomaly",
        ("attention", "all", *NAMES, *KINDS),
        lines,
    )
    figure, axes = figures.grid(len(NAMES), 2 + len(config.arms), 9.0, 4.6)
    titles = ("crop", "anomaly", *(f"score, {arm}" for arm in config.arms))
    for i, name in enumerate(NAMES):
        shown = [*measured.images[i], *(measured.maps[arm][i] for arm in config.arms)]
        for j, (title, image) in enumerate(zip(titles, shown, strict=True)):
            axis = axes[i, j]
            axis.imshow(image, cmap="gray" if j < 2 else "viridis")
            axis.set_xticks([])
            axis.set_yticks([])
            if i == 0:
                axis.set_title(title, fontsize=8)
        axes[i, 0].set_ylabel(name)
    record = {"areas": measured.areas, "kinds": measured.kinds}
    return Report(record, [table], {"anomalies": figure})


APPLICATION = Application(
    name="texture_anomalies",
    parts=("symmetric_row_divergence",),
    purpose="Anomalies of textures by the discrepancy of attention within a crop and "
    "to a template (FOD), against errors of reconstruction. Standard: "
    "two minutes, five seeds.",
    sizes={
        QUICK: Config(
            seeds=1,
            steps=10,
            train=40,
            test=12,
            depth=1,
            arms=("reconstruction", "full"),
        ),
        STANDARD: Config(seeds=5),
    },
    measure=measure,
    claims=claims,
    report=report,
    options=textures.OPTIONS,
    prepare=textures.prepare,
    paper="Yao et al. 2023, arXiv:2308.02983",
)

if __name__ == "__main__":
    sys.exit(APPLICATION.main())
