"""Deblurring in low light: Wiener deconvolution of images and of features (INFWIDE)."""

from __future__ import annotations

import dataclasses
import functools
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np

from experiments.applications import small_nets as nets
from experiments.applications.application import QUICK, STANDARD, Application, Settings
from experiments.applications.low_light import Pairs, brightest, pairs
from experiments.applications.photographs import halves, photographs, pooled_psnr
from experiments.applications.restored import patches_figure, scores_table
from experiments.applications.wiener_nets import inside, loss, new_net, restore
from experiments.harness.report import Report
from experiments.harness.store import Store
from experiments.harness.verdicts import Claim
from jaxopt_lab.layers import wiener_deconvolution
from jaxopt_lab.losses import ssim

SEEN, WIENER, ARMS = "seen", "Wiener", ("image", "feature", "both")
WIDTHS = {"image": 8, "feature": 7, "both": 6}  # about equal numbers of parameters
RATIOS = np.float32(10.0) ** np.arange(-3, 1, 0.25, dtype=np.float32)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Settings):
    """One size.

    Attributes:
      arms: that are trained.
      steps: of training.
      batch: patches of a step.
      train: patches to train on.
      test: patches to compare on.
      size: of the sides of a patch; results are compared without a border of half a
        kernel.
      blur: of the sides of a kernel, odd.
      photons: at the brightest pixel that is not saturated.
      read: standard deviation of the noise that does not depend on light.
      rate: first learning rate.
    """

    arms: tuple[str, ...] = ARMS
    steps: int = 120
    batch: int = 8
    train: int = 256
    test: int = 48
    size: int = 32
    blur: int = 9
    photons: float = 150.0
    read: float = 0.02
    rate: float = 4e-3


SIZES = {
    QUICK: Config(seeds=2, arms=("both",), steps=5, train=16, test=8, size=24),
    STANDARD: Config(seeds=5),
}


class Measured(NamedTuple):
    """PSNR and SSIM of every method and seed, parameters, and one example.

    Attributes:
      scores: ``{method: (seeds, 2)}``.
      sizes: numbers of parameters.
      example: images of the first seed, by name.
    """

    scores: dict[str, np.ndarray]
    sizes: dict[str, int]
    example: dict[str, np.ndarray]


def measure(config: Config, store: Store) -> Measured:
    """Train every arm on every seed; see ``Experiment.measure``."""
    seeds = range(config.first_seed, config.first_seed + config.seeds)
    images = list(zip(*map(halves, photographs()), strict=True))
    counts = (config.train, config.test)
    own = {name: getattr(config, name) for name in ("size", "blur", "photons", "read")}
    data = [
        [
            pairs(np.random.default_rng((seed, part)), list(images[part]), count, **own)
            for part, count in enumerate(counts)
        ]
        for seed in seeds
    ]
    rows = store.group("runs")
    scores, example, sizes = {}, {}, {}
    plain = {SEEN: as_seen, WIENER: plain_filter()}
    for arm in (*plain, *config.arms):
        run = plain[arm] if arm in plain else trained_arm(config, arm)
        found = [
            rows.measured(
                f"{arm} {seed}",
                lambda seed=seed, parts=parts, run=run: run(seed, *parts),
            )
            for seed, parts in zip(seeds, data, strict=True)
        ]
        scores[arm] = np.stack([row["scores"] for row in found])
        example[arm] = found[0]["example"]
        sizes[arm] = int(found[0]["parameters"])
    test = data[0][1]
    at = brightest(test)
    sharp = inside(test.sharp, test.kernels)[at, ..., 0]
    return Measured(scores, sizes, {**example, "sharp": sharp})


def as_seen(seed: int, known: Pairs, test: Pairs) -> dict[str, Any]:
    """Scores of the image that is seen, left as it is."""
    return {**scored(test.seen, test), "parameters": 0}


@functools.cache
def plain_filter() -> Callable[..., dict[str, Any]]:
    """Scores of the Wiener filter with the best ratio on the patches to train on."""
    filters = jax.jit(wiener_deconvolution)

    def run(seed: int, known: Pairs, test: Pairs) -> dict[str, Any]:
        sharp, _, seen, kernels = (x[: len(test.sharp)] for x in known)
        cut = lambda x: inside(np.clip(x, 0, 1), kernels)
        means = [
            pooled_psnr(cut(filters(seen, kernels, r)), cut(sharp)) for r in RATIOS
        ]
        best = RATIOS[int(np.argmax(means))]
        return {**scored(filters(test.seen, test.kernels, best), test), "parameters": 1}

    return run


@functools.cache
def trained_arm(config: Config, arm: str) -> Callable[..., dict[str, Any]]:
    """Scores of an arm; its programs are compiled once for all seeds."""
    train = nets.trainer(loss, nets.cosine(config.rate, config.steps))
    evaluate = jax.jit(lambda params, *given: restore(params, *given)[0])

    def run(seed: int, known: Pairs, test: Pairs) -> dict[str, Any]:
        rng = np.random.default_rng((seed, 2))
        order = rng.integers(config.train, size=(config.steps, config.batch))
        params = new_net(seed, arm, WIDTHS[arm])
        params = train(params, (tuple(x[at] for x in known) for at in order))
        found = evaluate(params, test.seen, test.kernels)
        return {**scored(found, test), "parameters": nets.count(params)}

    return run


alike = jax.jit(ssim)


def scored(found: Any, test: Pairs) -> dict[str, Any]:
    """PSNR and SSIM within the border, and the patch with the most light."""
    found = inside(np.clip(found, 0, 1), test.kernels)
    sharp = inside(test.sharp, test.kernels)
    means = [pooled_psnr(found, sharp), np.mean(alike(found, sharp))]
    return {"scores": means, "example": found[brightest(test), ..., 0]}


def claims(measured: Measured, config: Config) -> list[Claim]:
    """The claims with their evidence."""
    ratio = {name: s[:, 0] for name, s in measured.scores.items()}
    side = config.size - 2 * (config.blur // 2)
    where = f"{side} x {side} pixels, PSNR"
    return [
        Claim(
            f"both branches restore better than {other}",
            where,
            ratio["both"] - ratio[name],
            unit=" dB",
        )
        for name, other in (
            ("image", "the image branch alone"),
            ("feature", "the feature branch alone"),
            (WIENER, "the best plain Wiener filter"),
        )
        if name in ratio
    ]


def report(measured: Measured, config: Config) -> Report:
    """Numbers, a table and a figure."""
    table = scores_table(
        f"Test patches after {config.steps} steps, means over {config.seeds} seeds",
        ("method", "parameters"),
        measured.scores,
        measured.sizes,
    )
    names = (SEEN, WIENER, *config.arms, "sharp")
    figure = patches_figure(
        {name: measured.example[name] for name in names},
        "sharp",
        "a patch with saturated lights",
    )
    return Report({"measured": measured}, [table], {"patches": figure})


APPLICATION = Application(
    name="deblurring",
    parts=("learned_wiener",),
    purpose="Photographs blurred by shake in low light, restored by Wiener "
    "deconvolution of the denoised image, of learned features, and of both. Quick: "
    "20 s, standard: 100 s.",
    sizes=SIZES,
    measure=measure,
    claims=claims,
    report=report,
    paper="Zhang et al. 2022 (INFWIDE), arXiv:2207.08201",
)

if __name__ == "__main__":
    sys.exit(APPLICATION.main())
