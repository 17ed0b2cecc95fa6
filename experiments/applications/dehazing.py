"""Removing haze by detail-enhanced kernels and content-guided attention (DEA-Net)."""

from __future__ import annotations

import dataclasses
import functools
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from experiments.applications import small_nets as nets
from experiments.applications.application import QUICK, STANDARD, Application, Settings
from experiments.applications.dehazing_nets import (
    ARMS,
    DETAIL,
    GUIDED,
    PLAIN,
    clear,
    depth_of,
    hazy,
    new_net,
)
from experiments.applications.photographs import (
    colour_photographs,
    halves,
    made_disparity,
    patches,
    psnr,
    stereo_photograph,
)
from experiments.applications.restored import patches_figure, scores_table
from experiments.harness.report import Report
from experiments.harness.store import Store
from experiments.harness.verdicts import Claim
from jaxopt_lab.core import errors
from jaxopt_lab.layers import fold_differences
from jaxopt_lab.losses import ssim

HAZY = "hazy"
DEPTHS = MADE, MEASURED = "made", "measured"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Settings):
    """One size.

    Attributes:
      arms: that are trained.
      steps: of training.
      batch: patches of a step.
      train: patches to train on.
      test: patches to compare on.
      size: of the sides of a patch.
      rate: first learning rate.
    """

    arms: tuple[str, ...] = ARMS
    steps: int = 80
    batch: int = 8
    train: int = 256
    test: int = 48
    size: int = 32
    rate: float = 4e-3


SIZES = {
    QUICK: Config(seeds=2, arms=(PLAIN, DETAIL), steps=5, train=16, test=8),
    STANDARD: Config(seeds=5),
}


class Measured(NamedTuple):
    """PSNR and SSIM of every arm and seed, parameters, and one example.

    Attributes:
      scores: ``{arm: (seeds, 2)}``; those of the hazy images, too.
      sizes: numbers of parameters once the kernels are summed.
      example: images of the first seed, by name.
    """

    scores: dict[str, np.ndarray]
    sizes: dict[str, int]
    example: dict[str, np.ndarray]


alike = jax.jit(ssim)


def scored(found: Any, clean: np.ndarray) -> dict[str, Any]:
    """Mean PSNR and SSIM, and the first image."""
    found = np.clip(found, 0, 1)
    means = [np.mean(psnr(found, clean)), np.mean(alike(found, clean))]
    return {"scores": means, "example": found[0], "parameters": 0}


def folded_size(params: nets.Params) -> int:
    """Number of parameters once every detail-enhanced kernel is one."""
    total = nets.count(params)
    for level in ("high", "low"):
        own = params[level]["detail"]
        if "central" in own:
            total += nets.count(fold_differences(own)) - nets.count(own)
    return total


@functools.cache
def trained_arm(config: Config, arm: str) -> Callable[..., dict[str, Any]]:
    """Scores of an arm; its programs are compiled once for all seeds."""
    run_net = functools.partial(clear, arm=arm)

    def loss(params: nets.Params, seen: Any, clean: Any) -> jax.Array:
        return jnp.mean(jnp.abs(run_net(params, seen) - clean))

    train = nets.trainer(loss, nets.cosine(config.rate, config.steps))
    evaluate = jax.jit(run_net)

    def run(seed: int, known: Any, test: Any) -> dict[str, Any]:
        rng = np.random.default_rng((seed, 2))
        order = rng.integers(config.train, size=(config.steps, config.batch))
        params = new_net(seed, arm)
        params = train(params, (tuple(x[at] for x in known) for at in order))
        found = scored(evaluate(params, test[0]), test[1])
        return {**found, "parameters": folded_size(params)}

    return run


def prepare(config: Config, depth: str = MADE) -> tuple[Config, dict[str, Any]]:
    """Read ``depth=``; see ``Experiment.prepare``."""
    if depth not in DEPTHS:
        raise errors.unknown("depth", depth, DEPTHS)
    return config, {"depth": depth}


def load_scenes(depth: str) -> list[np.ndarray]:
    """Photographs with their depth as a fourth channel, ``(H, W, 4)`` each."""
    if depth == MEASURED:
        pairs = [stereo_photograph()]
    else:
        images, rng = colour_photographs(), np.random.default_rng(0)
        pairs = [(x, made_disparity(rng, *x.shape[:2])) for x in images]
    return [np.concatenate([x, depth_of(d)[..., None]], axis=-1) for x, d in pairs]


def scenes(
    whole: list[np.ndarray], seed: int, part: int, config: Config
) -> tuple[np.ndarray, np.ndarray]:
    """Hazy and clear patches of one part of the photographs."""
    rng = np.random.default_rng((seed, part))
    count = (config.train, config.test)[part]
    found = patches(rng, [halves(x)[part] for x in whole], config.size, count)
    clean, depth = found[..., :3], found[..., 3]
    seen = hazy(rng, clean, depth)
    return seen.astype(np.float32), clean.astype(np.float32)


def measure(config: Config, store: Store, depth: str = MADE) -> Measured:
    """Train every arm on every seed; see ``Experiment.measure``."""
    seeds = range(config.first_seed, config.first_seed + config.seeds)
    whole = load_scenes(depth)
    data = [[scenes(whole, s, part, config) for part in range(2)] for s in seeds]
    rows = store.group("runs")
    scores, sizes, example = {}, {}, {}
    for arm in (HAZY, *config.arms):
        run = (
            (lambda seed, known, test: scored(*test))
            if arm == HAZY
            else trained_arm(config, arm)
        )
        found = [
            rows.measured(f"{arm} {seed}", functools.partial(run, seed, *parts), depth)
            for seed, parts in zip(seeds, data, strict=True)
        ]
        scores[arm] = np.stack([row["scores"] for row in found])
        sizes[arm] = int(found[0]["parameters"])
        example[arm] = found[0]["example"]
    return Measured(scores, sizes, {**example, "clear": data[0][1][1][0]})


def claims(measured: Measured, config: Config) -> list[Claim]:
    """The claims with their evidence."""
    where = f"{config.size} x {config.size} patches, PSNR"
    ratio = {name: s[:, 0] for name, s in measured.scores.items()}
    texts = (
        (PLAIN, HAZY, "plain convolutions improve on the hazy image"),
        (DETAIL, PLAIN, "detail-enhanced convolutions improve on plain ones"),
        (GUIDED, DETAIL, "content-guided attention improves on these at equal size"),
    )
    return [
        Claim(
            text, where, measured.scores[a][:, 0] - measured.scores[b][:, 0], unit=" dB"
        )
        for a, b, text in texts
        if a in ratio
    ]


def report(measured: Measured, config: Config) -> Report:
    """Numbers, a table and a figure."""
    table = scores_table(
        f"Test patches after {config.steps} steps, means over {config.seeds} seeds",
        ("network", "parameters, folded"),
        measured.scores,
        measured.sizes,
    )
    names = (HAZY, *config.arms, "clear")
    images = {name: measured.example[name] for name in names}
    figure = patches_figure(images, "clear", "a test patch")
    return Report({"measured": measured}, [table], {"patches": figure})


APPLICATION = Application(
    name="dehazing",
    parts=("detail_enhanced_conv", "content_guided_attention", "content_guided_fusion"),
    purpose="Haze by the depth of photographs, made or measured, removed by small "
    "networks of plain convolutions, of detail-enhanced ones, and with content-guided "
    "attention. Standard: 80 s.",
    sizes=SIZES,
    options={
        "depth": "made, of ground and boxes, for the photographs of scikit-learn; or "
        "measured, of the stereo photograph of scikit-image"
    },
    prepare=prepare,
    measure=measure,
    claims=claims,
    report=report,
    paper="Chen, He and Lu 2023 (DEA-Net), arXiv:2301.04805",
)

if __name__ == "__main__":
    sys.exit(APPLICATION.main())
