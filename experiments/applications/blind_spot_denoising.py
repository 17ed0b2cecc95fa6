"""Denoising without clean images by a conditional blind-spot network (C-BSN)."""

from __future__ import annotations

import dataclasses
import functools
import sys
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import numpy as np

from experiments.applications import small_nets as nets
from experiments.applications.application import QUICK, STANDARD, Application, Settings
from experiments.applications.blind_spot_nets import (
    ARMS,
    BLIND,
    COARSE,
    FULL,
    denoised,
    loss,
    new_net,
    noise_of,
)
from experiments.applications.photographs import halves, patches, photographs, psnr
from experiments.applications.restored import patches_figure
from experiments.harness.report import Report, Table
from experiments.harness.store import Store
from experiments.harness.verdicts import Claim

MASKED, UNMASKED = 0, 1


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Settings):
    """One size.

    Attributes:
      runs: noises and arms that are trained.
      steps: of training.
      batch: patches of a step.
      train: patches to train on.
      test: patches to compare on.
      size: of the sides of a patch, a multiple of 10.
      noise: standard deviation, where pixels lie between 0 and 1.
      width: channels.
      blocks: of each of the two branches.
      rate: first learning rate.
    """

    runs: tuple[tuple[str, str], ...] = (
        ("independent", BLIND),
        ("independent", FULL),
        ("correlated", BLIND),
        ("correlated", COARSE),
        ("correlated", FULL),
    )
    steps: int = 80
    batch: int = 4
    train: int = 128
    test: int = 32
    size: int = 40
    noise: float = 0.1
    width: int = 8
    blocks: int = 1
    rate: float = 5e-3


SIZES = {
    QUICK: Config(seeds=2, runs=(("correlated", FULL),), steps=5, train=8, test=8),
    STANDARD: Config(seeds=5),
}


class Measured(NamedTuple):
    """PSNR of masked and unmasked outputs, and images of one patch.

    Attributes:
      scores: ``{"noise, arm": (seeds, 2)}``; of the noisy images ``"noise, noisy"``.
      example: of the first seed's correlated noise, by name.
    """

    scores: dict[str, np.ndarray]
    example: dict[str, np.ndarray]


@functools.cache
def trained_arm(config: Config, arm: str) -> Callable[..., dict[str, Any]]:
    """Scores of an arm; its programs are compiled once for all seeds."""
    train = nets.trainer(
        functools.partial(loss, arm=arm), nets.cosine(config.rate, config.steps)
    )
    outputs = jax.jit(lambda p, x: [denoised(p, x, blind=b) for b in (True, False)])

    def run(seed: int, known: np.ndarray, noisy: np.ndarray, clean: Any) -> Any:
        params = new_net(seed, config.width, config.blocks)
        params = train(params, batches(seed, normalized(known)[0], config))
        x, mean, sd = normalized(noisy)
        found = [np.asarray(y) * sd + mean for y in outputs(params, x)]
        return {
            "scores": [np.mean(psnr(np.clip(y, 0, 1), clean)) for y in found],
            "example": [np.clip(y[shown(clean), ..., 0], 0, 1) for y in found],
        }

    return run


def batches(seed: int, known: np.ndarray, config: Config) -> Iterator[tuple[Any, ...]]:
    """Patches, a key and the strength of the terms beside the blind spot, by step."""
    rng = np.random.default_rng((seed, 2))
    for step in range(config.steps):
        at = rng.integers(config.train, size=config.batch)
        strength = np.float32(min(1.0, step / (0.4 * config.steps)))
        yield known[at], np.array([seed, step], np.uint32), strength


def normalized(x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Every image less its mean, over its standard deviation, and both."""
    mean = x.mean(axis=(1, 2, 3), keepdims=True)
    sd = x.std(axis=(1, 2, 3), keepdims=True)
    return (x - mean) / sd, mean, sd


def shown(clean: np.ndarray) -> int:
    """The patch of the figure: that with the most contrast."""
    return int(np.argmax(np.std(clean, axis=(1, 2)).reshape(len(clean))))


def measure(config: Config, store: Store) -> Measured:
    """Train every arm on every seed; see ``Experiment.measure``."""
    seeds = range(config.first_seed, config.first_seed + config.seeds)
    left, right = zip(*map(halves, photographs()), strict=True)
    rows = store.group("runs")
    scores: dict[str, np.ndarray] = {}
    example: dict[str, np.ndarray] = {}
    for kind in dict.fromkeys(noise for noise, _ in config.runs):
        data = []
        for seed in seeds:
            rng = np.random.default_rng((seed, 0))
            clean = patches(rng, list(left), config.size, config.train)
            tests = patches(rng, list(right), config.size, config.test)
            own = [
                x + config.noise * noise_of(rng, kind, x.shape) for x in (clean, tests)
            ]
            data.append([x[..., None].astype(np.float32) for x in (*own, tests)])
        scores[f"{kind}, noisy"] = np.array(
            [[np.mean(psnr(np.clip(y, 0, 1), x))] * 2 for _, y, x in data]
        )
        for arm in (a for noise, a in config.runs if noise == kind):
            run = trained_arm(config, arm)
            found = [
                rows.measured(
                    f"{kind}, {arm} {seed}", functools.partial(run, seed, *parts)
                )
                for seed, parts in zip(seeds, data, strict=True)
            ]
            scores[f"{kind}, {arm}"] = np.stack([row["scores"] for row in found])
            if kind == "correlated":
                example[arm] = found[0]["example"]
        if kind == "correlated":
            _, noisy, clean = (x[..., 0] for x in data[0])
            at = shown(clean)
            example |= {"noisy": noisy[at], "clean": clean[at]}
    return Measured(scores, example)


def claims(measured: Measured, config: Config) -> list[Claim]:
    """The claims with their evidence."""
    where = f"correlated noise of {config.noise:g}, PSNR"
    full = measured.scores[f"correlated, {FULL}"]
    texts = {"noisy": "the noisy image", BLIND: "a plain blind-spot network"}
    found = [
        Claim(
            f"the unmasked output of the full loss is better than {text}",
            where,
            full[:, UNMASKED] - measured.scores[f"correlated, {other}"][:, MASKED],
            unit=" dB",
        )
        for other, text in texts.items()
        if f"correlated, {other}" in measured.scores
    ]
    text = "the unmasked output of the full loss is better than its masked output"
    return [
        *found,
        Claim(text, where, full[:, UNMASKED] - full[:, MASKED], unit=" dB"),
    ]


def report(measured: Measured, config: Config) -> Report:
    """Numbers, a table and a figure."""
    rows = []
    for name, s in measured.scores.items():
        noise, arm = name.split(", ")
        unmasked = f"{s[:, UNMASKED].mean():.2f}" if arm == FULL else "-"
        rows.append((noise, arm, f"{s[:, MASKED].mean():.2f}", unmasked))
    table = Table(
        f"PSNR in dB of test patches after {config.steps} steps, means over "
        f"{config.seeds} seeds; noise of {config.noise:g}",
        ("noise", "training", "masked output", "unmasked output"),
        rows,
    )
    images = {"clean": measured.example["clean"], "noisy": measured.example["noisy"]}
    for arm in (a for a in ARMS if a in measured.example):
        images[arm if arm != FULL else f"{arm}, masked"] = measured.example[arm][MASKED]
    images[f"{FULL}, unmasked"] = measured.example[FULL][UNMASKED]
    figure = patches_figure(images, "clean", "a patch with correlated noise")
    return Report({"measured": measured}, [table], {"patches": figure})


APPLICATION = Application(
    name="blind_spot_denoising",
    parts=("blind_spot_conv", "blind_spot_loss"),
    purpose="Photographs denoised by networks that have seen no clean image: a blind "
    "spot, a coarser grid against correlated noise, and the loss that makes a network "
    "with all pixels of it. Quick: 15 s, standard: 65 s.",
    sizes=SIZES,
    measure=measure,
    claims=claims,
    report=report,
    paper="Jang et al. 2023 (C-BSN), arXiv:2304.09507",
)

if __name__ == "__main__":
    sys.exit(APPLICATION.main())
