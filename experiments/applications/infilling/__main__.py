"""``python -m experiments.applications.infilling [quick|standard]``.

A small model of characters is trained on next tokens alone, or half of the rows with
masked spans that stand behind the text (CodeGen2), with a causal mask or one in which
the text with its masks sees itself. All see the same characters.
"""

from __future__ import annotations

import sys
from typing import Any

import jax
import numpy as np

from experiments.applications import corpus
from experiments.applications.application import QUICK, STANDARD, Application
from experiments.applications.infilling.rows import (
    ARMS,
    SPECIAL,
    Config,
    infill_rows,
    row_length,
    rows_of,
)
from experiments.applications.text_model import (
    Shape,
    evaluator,
    init,
    trainer,
    windows,
)
from experiments.harness import figures as style
from experiments.harness.report import Report, Table
from experiments.harness.store import Store
from experiments.harness.verdicts import Claim


def measure(config: Config, store: Store, text: str = "") -> dict[str, Any]:
    """Train and test a model of each objective; see ``Experiment.measure``.

    Args:
      text: a file; empty: the standard library.

    Returns:
      ``{objective: {"left to right", "middle from the left", "middle from both
      sides"}}``, nats a character, ``(seeds,)``.
    """
    found = corpus.sources(text, count=config.modules, least=4 * config.context)
    texts = [corpus.encoded(x) for x in found.values()]
    test_texts = texts[::4]
    train_texts = [x for i, x in enumerate(texts) if i % 4]
    total = SPECIAL.pad + 1
    shape = Shape(total, config.width, config.depth, 4, config.rate)
    seeds = range(config.first_seed, config.first_seed + config.seeds)
    plain, tests, starts = [], [], []
    for seed in seeds:
        draw = np.random.default_rng([seed, 2])
        count = config.steps * config.batch
        rows = windows(draw, train_texts, count, config.context)
        plain.append(rows.reshape(config.steps, config.batch, config.context))
        tests.append(windows(draw, test_texts, config.test, config.context))
        starts.append(init(draw, shape))
    stack = lambda *x: np.stack(x)
    length = row_length(config)
    padding = ((0, 0), (0, 0), (0, length - config.context))
    whole = np.pad(np.stack(tests), padding, constant_values=SPECIAL.pad)
    filled = [infill_rows(rows, config) for rows in tests]
    place = filled[0][1]
    quarter = config.context // 4
    first = (config.context - quarter) // 2

    def run(arm: str) -> dict[str, np.ndarray]:
        pairs = zip(plain, seeds, strict=True)
        given = [rows_of(rows, arm, seed, config) for rows, seed in pairs]
        params = jax.tree.map(stack, *starts)
        params = trainer(shape)(params, *jax.tree.map(stack, *given))
        losses, nothing = evaluator(shape), np.zeros(whole.shape[:2], np.int32)
        left = np.asarray(losses(params, whole, nothing))
        ahead = nothing + (int(np.argmax(place)) - 1 if arm == ARMS[2] else 0)
        rows = np.stack([x for x, _ in filled])
        both = np.asarray(losses(params, rows, ahead))
        return {
            "left to right": left[:, :, 1 : config.context].mean(axis=(1, 2)),
            "middle from the left": left[:, :, first : first + quarter].mean((1, 2)),
            "middle from both sides": both[:, :, place].mean(axis=(1, 2)),
        }

    rows = store.group("runs")
    return {arm: rows.measured(arm, lambda arm=arm: run(arm), text) for arm in ARMS}


def claims(measured: dict[str, Any], config: Config) -> list[Claim]:
    """The claims on infilling, and on what it costs."""
    del config
    causal, mixture, prefix = (measured[arm] for arm in ARMS)
    both, left = "middle from both sides", "left to right"
    found = [
        Claim(
            "a mixture predicts the middle from both sides better than a causal model "
            "from the left",
            "middle quarter",
            causal["middle from the left"] - mixture[both],
            unit=" nats",
        ),
        Claim(
            "the mixture costs less than 1 % of left-to-right cross-entropy",
            "left to right",
            100 * (mixture[left] / causal[left] - 1),
            (-np.inf, 1.0),
            unit=" %",
        ),
        Claim(
            "a prefix that sees itself gains less than 1 % in the middle",
            "middle quarter",
            100 * (1 - prefix[both] / mixture[both]),
            (-np.inf, 1.0),
            unit=" %",
        ),
    ]
    return found


def report(measured: dict[str, Any], config: Config) -> Report:
    """Numbers, a table and a figure; see ``Experiment.report``."""
    names = list(measured[ARMS[0]])
    rows = [
        (
            arm,
            # A causal model has met no sentinel: its number says nothing.
            *(
                "-" if arm == ARMS[0] and name == names[2] else f"{x.mean():.3f}"
                for name, x in values.items()
            ),
        )
        for arm, values in measured.items()
    ]
    table = Table(
        f"Cross-entropy in nats a character after {config.steps} steps of "
        f"{config.batch} rows of {config.context} characters, means over "
        f"{config.seeds} seeds",
        ("objective", *names),
        rows,
    )
    figure, ((axis,),) = style.grid(1, 1, 7.5, 4.0)
    colors = (style.BLUE, style.ORANGE, style.GREEN)
    for shift, arm, color in zip((-0.2, 0.0, 0.2), ARMS, colors, strict=True):
        own = names[:2] if arm == ARMS[0] else names
        values = np.stack([measured[arm][name] for name in own])
        deviation = values.std(axis=1, ddof=1) if config.seeds > 1 else None
        places = np.arange(len(own)) + shift
        axis.errorbar(
            places, values.mean(axis=1), deviation, fmt="o", color=color, label=arm
        )
    axis.set_xticks(range(len(names)), names)
    axis.set_ylabel("nats a character, mean and deviation")
    axis.legend(frameon=False)
    style.tidy(axis)
    return Report({"measured": measured}, [table], {"cross_entropy": figure})


def prepare(config: Config, text: str = "") -> tuple[Config, dict[str, Any]]:
    """Read the options before anything is measured."""
    corpus.sources(text, count=config.modules, least=4 * config.context)
    return config, {"text": text}


APPLICATION = Application(
    name="infilling",
    parts=("span_corruption",),
    purpose="A small model of text that fills in masked spans (CodeGen2), against one "
    "of next characters alone. standard: about two minutes.",
    sizes={
        QUICK: Config(seeds=2, steps=20, test=16, modules=8, depth=1),
        STANDARD: Config(seeds=5),
    },
    measure=measure,
    claims=claims,
    report=report,
    options={"text": corpus.TEXT},
    prepare=prepare,
    paper="Nijkamp et al. 2023, arXiv:2305.02309",
)

if __name__ == "__main__":
    sys.exit(APPLICATION.main())
