"""Dense Hebbian networks: archetypes retrieved from noisy examples, by the power P."""

from __future__ import annotations

import dataclasses
import sys
from typing import Any, NamedTuple

import jax
import numpy as np

from experiments.applications.application import QUICK, STANDARD, Application, Settings
from experiments.harness.figures import BLUE, GREEN, GREY, ORANGE, grid, tidy
from experiments.harness.report import Report, Table
from experiments.harness.store import Store
from experiments.harness.verdicts import Claim
from experiments.spins.dense import (
    double_factorial,
    example_noise,
    one_step_overlap,
    teacher_averages,
)
from experiments.spins.digits import digit_spins
from experiments.spins.retrieval import flipped, mean_overlap, retrieved, signs

LOOKS = {2: (BLUE, "o", 9), 3: (ORANGE, "s", 7), 4: (GREEN, "^", 5)}
FLIPPED = 0.1


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Settings):
    """One size.

    Attributes:
      spins: N, of the random archetypes.
      powers: P.
      loads: cross-talk of clean archetypes, :math:`\\alpha (2P - 3)!!`.
      examples: M, at ``quality``.
      quality: r.
      starts: archetypes from which an update starts, of each cell and seed.
      stored: K, whose retrieval from archetypes with flipped spins is tried.
      detected: (K, M) of few archetypes with few examples.
      digits: (M, r) of the examples of each digit, and the test images.
      steps: sweeps of a retrieval.
    """

    spins: int = 100
    powers: tuple[int, ...] = (2, 3, 4)
    loads: tuple[float, ...] = (0.05, 0.2, 0.5)
    examples: tuple[int, ...] = (5, 20, 100)
    quality: float = 0.4
    starts: int = 100
    stored: tuple[int, ...] = (5, 10, 20, 50, 100, 200)
    detected: tuple[int, int] = (20, 5)
    digits: tuple[int, float, int] = (20, 0.6, 200)
    steps: int = 10


SIZES = {
    QUICK: Config(
        seeds=2, powers=(2, 4), loads=(0.05,), starts=20, stored=(10,), steps=5
    ),
    STANDARD: Config(seeds=5),
}


class Measured(NamedTuple):
    """One-step overlaps and those of retrievals, of every seed.

    Attributes:
      cells: (P, load, M), in the order of the second axis of ``overlaps``.
      theory: formula of each cell.
      overlaps: ``(seeds, cells)``.
      storage: ``(seeds, stored, powers)``.
      detection: ``(seeds, powers)``.
      digits: share of test images that end at the archetype of their class.
    """

    cells: list[tuple[int, float, int]]
    theory: np.ndarray
    overlaps: np.ndarray
    storage: np.ndarray
    detection: np.ndarray
    digits: np.ndarray


def of_seed(config: Config, seed: int) -> dict[str, Any]:
    """All measurements of one seed."""
    rng = np.random.default_rng(seed)
    key = jax.random.key(seed)
    counts = [(stored_of(config, p, a), m, p) for p, a, m in cells(config)]
    about = {"spins": config.spins, "quality": config.quality, "starts": config.starts}
    overlaps = [mean_overlap(rng, *count, **about) for count in counts]
    storage = np.zeros((len(config.stored), len(config.powers)))
    for i, count in enumerate(config.stored):
        archetypes = signs(rng, count, config.spins)
        start = flipped(rng, archetypes[: min(count, 20)], FLIPPED)
        for j, power in enumerate(config.powers):
            end = retrieved(key, archetypes, start, power=power, sweeps=config.steps)
            storage[i, j] = np.mean(np.asarray(end) * archetypes[: len(start)])
    count, examples = config.detected
    detection = [mean_overlap(rng, count, examples, p, **about) for p in config.powers]
    return {
        "overlaps": overlaps,
        "storage": storage,
        "detection": detection,
        "digits": digit_shares(rng, key, config),
    }


def digit_shares(
    rng: np.random.Generator, key: jax.Array, config: Config
) -> list[float]:
    """Of each power, the share of noisy test images that end at their class."""
    data = digit_spins()
    examples, quality, tests = config.digits
    patterns = teacher_averages(rng, data.archetypes, examples, quality)
    chosen = rng.permutation(len(data.labels))[:tests]
    start = flipped(rng, data.images[chosen], FLIPPED)
    shares = []
    for power in config.powers:
        end = retrieved(key, patterns, start, power=power, sweeps=config.steps)
        overlap = np.asarray(end) @ data.archetypes.T / 64
        right = overlap.argmax(1) == data.labels[chosen]
        shares.append(float(np.mean(right & (overlap.max(1) > 0.9))))
    return shares


def cells(config: Config) -> list[tuple[int, float, int]]:
    """(P, load, M) of all cells."""
    return [
        (p, a, m) for p in config.powers for a in config.loads for m in config.examples
    ]


def stored_of(config: Config, power: int, load: float) -> int:
    """K of a cell."""
    return round(load / double_factorial(2 * power - 3) * config.spins ** (power - 1))


def measure(config: Config, store: Store) -> Measured:
    """Measure; see ``Experiment.measure``."""
    rows = store.group("seeds")
    seeds = range(config.first_seed, config.first_seed + config.seeds)
    found = [rows.measured(f"seed {s}", lambda s=s: of_seed(config, s)) for s in seeds]
    theory = [
        one_step_overlap(
            example_noise(m, config.quality),
            stored_of(config, p, a) / config.spins ** (p - 1),
            p,
        )
        for p, a, m in cells(config)
    ]
    names = ("overlaps", "storage", "detection", "digits")
    stacked = (np.stack([row[name] for row in found]) for name in names)
    return Measured(cells(config), np.array(theory), *stacked)


def claims(measured: Measured, config: Config) -> list[Claim]:
    """The claims with their evidence."""
    low, high = config.powers[0], config.powers[-1]
    difference = (measured.overlaps - measured.theory).T
    worst = float(np.max(np.abs(difference.mean(1))))
    largest = measured.storage[:, -1]
    many = f"K = {config.stored[-1]}, N = {config.spins}"
    noise = example_noise(config.detected[1], config.quality)
    return [
        Claim(
            "one-step overlaps are within 0.03 of the formula in every cell",
            f"{len(measured.cells)} cells, N = {config.spins}",
            difference,
            (-0.03, 0.03),
            evidence=f"largest mean difference {worst:.3f}",
        ),
        Claim(
            f"P = {high} retrieves archetypes (overlap above 0.95)",
            many,
            largest[:, -1],
            (0.95, np.inf),
        ),
        Claim(
            f"P = {low} does not (overlap below 0.7)",
            many,
            largest[:, 0],
            (-np.inf, 0.7),
        ),
        Claim(
            f"P = {high} has the larger overlap from noisy examples of few archetypes",
            f"K = {config.detected[0]}, rho = {noise:.2f}",
            measured.detection[:, -1] - measured.detection[:, 0],
        ),
        Claim(
            f"P = {high} retrieves the class of a flipped test image more often",
            "digits",
            measured.digits[:, -1] - measured.digits[:, 0],
        ),
    ]


def report(measured: Measured, config: Config) -> Report:
    """Numbers, a table and a figure."""
    figure, ((left, middle, right),) = grid(1, 3, 11.5, 3.6)
    mean = measured.overlaps.mean(0)
    for j, power in enumerate(config.powers):
        at = [i for i, cell in enumerate(measured.cells) if cell[0] == power]
        color, marker, size = LOOKS[power]
        look = {"color": color, "marker": marker, "ms": size, "label": f"P = {power}"}
        left.plot(measured.theory[at], mean[at], ls="", **look)
        middle.plot(config.stored, measured.storage.mean(0)[:, j], **look)
        right.bar(f"P = {power}", measured.digits.mean(0)[j], color=color)
    left.plot([0.2, 1.0], [0.2, 1.0], color=GREY, lw=1, label="equal")
    left.set(xlabel="overlap by the formula", ylabel="simulated overlap")
    left.set_title("one update from an archetype")
    middle.set(xscale="log", xlabel="archetypes stored, K", ylabel="final overlap")
    middle.set_title(f"from {FLIPPED:.0%} flipped spins, N = {config.spins}")
    right.set(ylabel="share at its class", title="test images of digits")
    for axes in (left, middle, right):
        tidy(axes)
        if axes is not right:
            axes.legend(frameon=False)
    found = zip(measured.cells, measured.theory, mean, strict=True)
    rows = [
        (str(p), f"{a:g}", str(stored_of(config, p, a)), str(m), f"{t:.3f}", f"{x:.3f}")
        for (p, a, m), t, x in found
    ]
    table = Table(
        f"One update from an archetype, r = {config.quality:g}, N = {config.spins}",
        ("P", "load (2P-3)!!", "K", "M", "formula", "simulated"),
        rows,
    )
    return Report({"measured": measured}, [table], {"overlaps": figure})


APPLICATION = Application(
    name="dense_hebbian",
    purpose="Archetypes stored as averages of noisy examples in networks of P-spin "
    "interactions: overlaps against a formula, storage, and digits. Quick: 15 s, "
    "standard: 100 s.",
    sizes=SIZES,
    measure=measure,
    claims=claims,
    report=report,
    paper="Agliari et al. 2023, dense Hebbian networks, from the abstract",
)

if __name__ == "__main__":
    sys.exit(APPLICATION.main())
