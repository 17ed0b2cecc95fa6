"""Instance segmentation of canvases with corruptions and away from its domain.

A network says of each pixel whether it shows an object, of which class, and where its
centre is; pixels are gathered at peaks of a map of centres. Trained on clean canvases
with batch norm, group norm or none, it is judged under nine corruptions (mPC, and rPC
relative to clean canvases), on another background, inverted, and with larger objects.
"""

from __future__ import annotations

import dataclasses
import functools
import sys
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments.applications import canvases
from experiments.applications.application import QUICK, STANDARD, Application, Settings
from experiments.applications.canvases import Canvases
from experiments.applications.fitting import Fitter, in_batches
from experiments.applications.instance_robustness.instances import score, targets
from experiments.applications.instance_robustness.network import ARMS, loss, network
from experiments.applications.texture_anomalies.textures import crop, load_textures
from experiments.harness import figures
from experiments.harness.report import Report, Table
from experiments.harness.store import Store
from experiments.harness.verdicts import Claim
from jaxopt_lab.data import CORRUPTIONS, corrupt
from jaxopt_lab.lab.statistics import mean_interval
from jaxopt_lab.metrics import mean_corruption_score

SIZE, SIDES, LARGER = 48, range(12, 18), range(16, 24)
DOMAINS = ("background", "inverted", "larger")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Settings):
    """One size.

    Attributes:
      steps: of Adam.
      train: canvases to train on.
      test: canvases of each test set.
      batch: canvases of a step.
      width: channels.
      severities: of each corruption.
      corruptions: their names.
      rate: the highest rate of Adam; of 0.01 and 0.03 the better one for batch and
        group norms on another seed than those of the results.
      classes: of the objects; so few steps do not tell all ten digits apart.
      arms: norms of the network.
    """

    steps: int = 300
    train: int = 480
    test: int = 30
    batch: int = 16
    width: int = 16
    severities: tuple[int, ...] = (2, 4)
    corruptions: tuple[str, ...] = tuple(CORRUPTIONS)
    rate: float = 3e-2
    classes: int = 4
    arms: tuple[str, ...] = ARMS


class Measured(NamedTuple):
    """F1 scores of each arm.

    Attributes:
      clean: ``(seeds,)``.
      corrupted: ``(corruptions, severities, seeds)``.
      domains: ``(domains, seeds)``.
    """

    clean: dict[str, np.ndarray]
    corrupted: dict[str, np.ndarray]
    domains: dict[str, np.ndarray]


class Drawn(NamedTuple):
    """Canvases of a seed: to train on, clean, corrupted, and of other domains."""

    train: Canvases
    clean: Canvases
    corrupted: np.ndarray
    domains: list[Canvases]


@functools.cache
def _corrupter(name: str, severities: tuple[int, ...]) -> Any:
    """One program for all severities and seeds."""

    def run(key: jax.Array, x: jax.Array) -> jax.Array:
        return jnp.stack(
            [
                corrupt(jax.random.fold_in(key, s), x, name=name, severity=s)  # type: ignore[arg-type]
                for s in severities
            ]
        )

    # Each runs a few times: optimized, they compile for longer than they run.
    return jax.jit(run, compiler_options={"xla_backend_optimization_level": 0})


@functools.cache
def _programs(arm: str, config: Config) -> tuple[Fitter, Any]:
    """Training and outputs of an arm, compiled once for all seeds."""
    model = network(arm, config.width)
    rate = optax.cosine_decay_schedule(config.rate, config.steps)
    fitter = Fitter(model, loss(model), optax.flatten(optax.adam(rate)))
    return fitter, jax.jit(lambda p, s, x: model.apply(p, s, x, train=False)[0])


def draw(config: Config, objects: canvases.Objects, seed: int) -> Drawn:
    """The canvases of a seed."""
    rng = np.random.default_rng(seed)
    make = lambda part, count, sides: canvases.draw(
        part, count, rng, size=SIZE, sides=sides, fewest=3, most=5
    )
    train = make(objects.train, config.train, SIDES)
    clean = make(objects.test, config.test, SIDES)
    x, key = jnp.asarray(clean.images[..., None]), jax.random.key(seed)
    every = [
        np.asarray(_corrupter(name, config.severities)(key, x))
        for name in config.corruptions
    ]
    texture = load_textures("synthetic")["gravel"]
    ground = 0.4 * crop(texture, rng, config.test)[:, :SIZE, :SIZE]
    behind = np.maximum(clean.images, ground.astype(np.float32))
    domains = [
        clean._replace(images=behind),
        clean._replace(images=1 - clean.images),
        make(objects.test, config.test, LARGER),
    ]
    return Drawn(train, clean, np.stack(every), domains)


def judged(config: Config, arm: str, seed: int, own: Drawn) -> dict[str, Any]:
    """Scores of an arm that is trained from a seed, on all sets of that seed."""
    fitter, run = _programs(arm, config)
    state = fitter.run(
        targets(own.train), seed=seed, steps=config.steps, batch=config.batch
    )
    apply = lambda x: run(state.params, state.model_state, x)
    outputs = lambda x: in_batches(apply, x, config.test)
    plain = lambda c: score(outputs(c.images[..., None]), c)
    return {
        "clean": plain(own.clean),
        "corrupted": [
            [score(outputs(x), own.clean) for x in every] for every in own.corrupted
        ],
        "domains": [plain(c) for c in own.domains],
    }


def measure(config: Config, store: Store, fashion: Path | None = None) -> Measured:
    """Train every arm from every seed; score it on all sets of that seed."""
    objects = canvases.of_classes(canvases.load_objects(fashion), config.classes)
    seeds = range(config.first_seed, config.first_seed + config.seeds)
    drawn = functools.cache(lambda seed: draw(config, objects, seed))
    rows = store.group("runs")
    clean, corrupted, domains = {}, {}, {}
    for arm in config.arms:
        found = [
            rows.measured(
                f"{arm}, seed {s}", lambda s=s, a=arm: judged(config, a, s, drawn(s))
            )
            for s in seeds
        ]
        clean[arm] = np.stack([row["clean"] for row in found], axis=-1)
        corrupted[arm] = np.stack([row["corrupted"] for row in found], axis=-1)
        domains[arm] = np.stack([row["domains"] for row in found], axis=-1)
    return Measured(clean, corrupted, domains)


def relative(measured: Measured, arm: str) -> np.ndarray:
    """rPC of every seed in per cent; of a network that finds nothing it is NaN."""
    found = mean_corruption_score(measured.clean[arm], measured.corrupted[arm])
    return 100 * found.relative


def claims(measured: Measured, config: Config) -> list[Claim]:
    """Group norm against batch norm, under corruptions and in other domains."""
    if not set(ARMS[:2]) <= set(config.arms):
        return []
    group, batch = (relative(measured, arm) for arm in ("group norm", "batch norm"))
    far = {arm: 100 * scores.mean(axis=0) for arm, scores in measured.domains.items()}
    # A network that is worse on clean canvases has less to lose.
    clean = [
        f"{a} {100 * measured.clean[a].mean():.1f} %"
        for a in ("group norm", "batch norm")
    ]
    return [
        Claim(
            "group norm keeps more of its F1 under corruptions (rPC) than batch norm",
            "corruptions",
            group - batch,
            unit=" points",
            evidence=f"clean F1: {', '.join(clean)}",
        ),
        Claim(
            "batch norm has the higher F1 out of its domain",
            "other domains",
            far["batch norm"] - far["group norm"],
            unit=" points",
        ),
    ]


def report(measured: Measured, config: Config) -> Report:
    """Scores of each arm; score against severity for each corruption."""
    lines = []
    for arm in config.arms:
        found = mean_corruption_score(measured.clean[arm], measured.corrupted[arm])
        spread = [measured.clean[arm], found.mean, found.relative]
        cells = [mean_interval(100 * values) for values in spread]
        rest = [*measured.domains[arm].mean(-1), *measured.corrupted[arm].mean((1, 2))]
        lines.append(
            (
                arm,
                *(f"{mean:.1f} ± {half:.1f}" for mean, half in cells),
                *(f"{100 * x:.1f}" for x in rest),
            )
        )
    names = [name.replace("_", " ") for name in config.corruptions]
    table = Table(
        f"F1 of instances in per cent, {config.steps} steps, means over {config.seeds} "
        "seeds; mPC and rPC over all corruptions, then each domain and corruption",
        ("norm", "clean", "mPC", "rPC", *DOMAINS, *names),
        lines,
    )
    columns = min(3, len(names))
    height = -(-len(names) // columns)
    figure, axes = figures.grid(
        height, columns, 8.0, 1.2 + 1.8 * height, sharex=True, sharey=True
    )
    colours = (figures.BLUE, figures.ORANGE, figures.GREY)
    severities = (0, *config.severities)
    for i, name in enumerate(names):
        axis = axes[i // columns, i % columns]
        for arm, colour in zip(config.arms, colours, strict=False):
            values = [measured.clean[arm].mean(), *measured.corrupted[arm][i].mean(-1)]
            axis.plot(severities, 100 * np.array(values), "o-", color=colour, label=arm)
        axis.set_title(name, fontsize=9)
        figures.tidy(axis)
    for axis in axes[-1]:
        axis.set_xlabel("severity")
    for row in axes:
        row[0].set_ylabel("F1, %")
    figures.legend_right(figure, axes[0, 0])
    return Report({"measured": measured}, [table], {"severities": figure})


APPLICATION = Application(
    name="instance_robustness",
    parts=("corruption",),
    purpose="Instances of canvases segmented under corruptions and in other domains, "
    "with batch norm, group norm and none. Standard: 100 s, five "
    "seeds.",
    sizes={
        QUICK: Config(
            seeds=1,
            steps=20,
            train=64,
            test=16,
            severities=(4,),
            corruptions=("gaussian_noise", "contrast", "pixelate"),
            arms=ARMS[:2],
        ),
        STANDARD: Config(seeds=5),
    },
    measure=measure,
    claims=claims,
    report=report,
    options=canvases.OPTIONS,
    prepare=canvases.prepare,
    paper="Benchmarking the Robustness of Instance Segmentation Models, from the "
    "abstract; corruptions: Hendrycks and Dietterich 2019, arXiv:1903.12261",
)

if __name__ == "__main__":
    sys.exit(APPLICATION.main())
