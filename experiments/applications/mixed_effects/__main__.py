"""Fixed and random effects of batches: auto-encoders of cells.

Digits stand for cells that were measured in batches, each with its own gain and shift
of every feature and its own shares of the classes. An auto-encoder (AE), one whose
hidden layers hide the batch from an adversary (FE), and one that models the batches by
random effects on scale and bias (RE) are compared by what their latents tell.
"""

from __future__ import annotations

import sys
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from experiments.applications.application import QUICK, STANDARD, Application
from experiments.applications.mixed_effects.cells import (
    Cells,
    Components,
    Effects,
    components,
    effects,
    measured,
    neighbour_accuracy,
)
from experiments.applications.mixed_effects.config import LATENTS, Config
from experiments.applications.mixed_effects.networks import reader, trainer
from experiments.harness import figures
from experiments.harness.report import Report, Table
from experiments.harness.store import Store
from experiments.harness.verdicts import Claim
from jaxopt_lab.data import load_digits
from jaxopt_lab.lab.statistics import mean_interval

SHOWN = 8


class Measured(NamedTuple):
    """Accuracies of all latents, and one cell as it is seen in batches.

    Attributes:
      batch: ``(seeds,)`` by latent, accuracy of the batch.
      label: likewise, of the class.
      error: ``(seeds,)`` by network, mean squared error of the reconstruction.
      views: ``(3, SHOWN, 8, 8)``: the cell without effects, with those of each batch,
        and decoded as of each batch; of the first seed.
    """

    batch: dict[str, np.ndarray]
    label: dict[str, np.ndarray]
    error: dict[str, np.ndarray]
    views: np.ndarray


def measure(config: Config, store: Store) -> Measured:
    """Train the three networks of all seeds, and read their latents."""
    found = store.group("seeds").measured("all", lambda: _measured(config))
    of = lambda what, names: {name: found[f"{what} {name}"] for name in names}
    names = latent_names(config)
    return Measured(
        of("batch", names), of("label", names), of("error", config.arms), found["views"]
    )


def latent_names(config: Config) -> list[str]:
    """The latents of the networks that are trained, and both effects together."""
    both = ["FE + RE"] if {"FE", "RE"} <= set(config.arms) else []
    return [*config.arms, *both]


def _measured(config: Config) -> dict[str, np.ndarray]:
    data = load_digits()
    images, labels = (
        [np.asarray(part[name]) for part in (data.train, data.test)]
        for name in ("image", "label")
    )
    images = [x.reshape(-1, 64) for x in images]
    basis = components(images[0], config.features)
    plain = [basis.scores(x) for x in images]
    seeds = range(config.first_seed, config.first_seed + config.seeds)
    cells, batches = [], []
    for seed in seeds:
        rng = np.random.default_rng(seed)
        batches.append(effects(rng, config))
        pairs = zip(plain, labels, strict=True)
        cells.append([measured(rng, batches[-1], x, y) for x, y in pairs])
    keys = jnp.stack([jax.random.key(s) for s in seeds])
    sides = zip(*cells, strict=True)
    train, test = (Cells(*map(np.stack, zip(*c, strict=True))) for c in sides)
    count = len(plain[1])
    both = Cells(*(np.concatenate(c, 1) for c in zip(test, train, strict=True)))
    # The first test cell, as of every batch, stands at the end.
    into = np.arange(config.batches, dtype=np.int32)
    first = [np.repeat(a[:, :1], len(into), axis=1) for a in both[:2]]
    x, own = (np.concatenate(c, 1) for c in zip(both[:2], first, strict=True))
    as_of = np.concatenate([both.group, np.tile(into, (config.seeds, 1))], 1)
    latents: dict[str, Any] = {}
    found: dict[str, np.ndarray] = {}
    for arm in config.arms:
        mixed, weight = arm == "RE", config.adversary if arm == "FE" else 0.0
        train_all = trainer(config, mixed=mixed)
        fitted = train_all(keys, train.x, train.group, jnp.float32(weight))
        y, z = map(np.asarray, reader(config, mixed=mixed)(fitted, x, own, as_of))
        latents[arm] = [z[:, count : -len(into)], z[:, :count]]
        found[f"error {arm}"] = np.mean((y - x)[:, :count] ** 2, axis=(1, 2))
        if mixed:
            found["views"] = _views(basis, batches[0], plain[1][:1], y[0, -len(into) :])
    if {"FE", "RE"} <= set(latents):
        pairs = zip(latents["FE"], latents["RE"], strict=True)
        latents["FE + RE"] = [np.concatenate(z, axis=-1) for z in pairs]
    for name, (one, two) in latents.items():
        for what, of in (("batch", "group"), ("label", "label")):
            found[f"{what} {name}"] = np.array(
                [
                    neighbour_accuracy(
                        (one[n], two[n]),
                        (getattr(train, of)[n], getattr(test, of)[n]),
                        config.neighbours,
                    )
                    for n in range(config.seeds)
                ]
            )
    return found


def _views(
    basis: Components, batches: Effects, plain: np.ndarray, decoded: np.ndarray
) -> np.ndarray:
    into = np.arange(min(SHOWN, len(decoded)))
    one = np.repeat(plain, len(into), axis=0)
    every = (one, batches.seen(one, into), decoded[into])
    return np.stack([basis.images(x) for x in every])


def claims(measured: Measured, config: Config) -> list[Claim]:
    """The claims with their evidence."""
    batch, label = measured.batch, measured.label
    if set(batch) != set(LATENTS):
        return []
    where = f"{config.batches} batches, {config.latent} latents"
    pairs = {
        "the adversary hides the batch: accuracy of FE below AE": batch["AE"]
        - batch["FE"],
        "random effects tell the batch: accuracy of RE above FE": batch["RE"]
        - batch["FE"],
        "both latents tell the class better than FE alone": label["FE + RE"]
        - label["FE"],
    }
    return [Claim(t, where, v, scale=100, unit=" %") for t, v in pairs.items()]


def report(measured: Measured, config: Config) -> Report:
    """Numbers, the table and the figure."""
    rows = [
        (
            name,
            _text(100 * measured.batch[name]),
            _text(100 * measured.label[name]),
            _text(measured.error[name], 3) if name in measured.error else "-",
        )
        for name in measured.batch
    ]
    table = Table(
        f"Accuracy of {config.neighbours} neighbours in the latents, means over "
        f"{config.seeds} seeds (95 % intervals)",
        ("latents", "batch, %", "class, %", "error of the reconstruction"),
        rows,
    )
    record = measured._asdict()
    del record["views"]
    return Report(record, [table], {"batches": _figure(measured)})


def _text(values: np.ndarray, digits: int = 1) -> str:
    mean, half = mean_interval(values)
    return f"{mean:.{digits}f} ± {half:.{digits}f}"


def _figure(measured: Measured) -> Any:
    count = measured.views.shape[1]
    figure, axes = figures.grid(3, count, 1.1 * count + 1.2, 4)
    names = ("without effects", "measured in", "decoded as")
    for row, (name, images) in enumerate(zip(names, measured.views, strict=True)):
        for column, image in enumerate(images):
            axis = axes[row, column]
            axis.imshow(image, cmap="gray_r", vmin=0, vmax=1)
            axis.set_xticks([])
            axis.set_yticks([])
            if row == 0:
                axis.set_title(f"batch {column + 1}", fontsize="medium")
        axes[row, 0].set_ylabel(name)
    return figure


APPLICATION = Application(
    name="mixed_effects",
    parts=("random_effects", "gradient_reversal"),
    purpose="Latents of cells from batches: an auto-encoder, one with an adversary "
    "against the batch, and one with random effects of batches. quick: 15 s; standard: "
    "five seeds.",
    sizes={QUICK: Config(seeds=2, steps=100), STANDARD: Config(seeds=5)},
    measure=measure,
    claims=claims,
    report=report,
    paper="Andrade et al. 2024 (scMEDAL)",
)

if __name__ == "__main__":
    sys.exit(APPLICATION.main())
