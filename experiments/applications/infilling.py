"""``python -m experiments.applications.infilling [quick|standard]``.

A small model of characters is trained on next tokens alone, or half of the rows with
masked spans that stand behind the text (CodeGen2), with a causal mask or one in which
the text with its masks sees itself. All see the same characters.
"""

from __future__ import annotations

import dataclasses
import functools
import sys
from typing import Any

import jax
import numpy as np

from experiments.applications import corpus
from experiments.applications.application import (
    QUICK,
    STANDARD,
    Application,
    Settings,
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
from jaxopt_lab.data import SpanTokens, corrupt_spans, corrupted_length

ARMS = ("causal", "mixture", "mixture, prefix mask")
SPECIAL = SpanTokens.behind(len(corpus.VOCABULARY), 8)
SPANS = {"share": 0.15, "mean_span": 3.0}
INFILL = {"share": 0.25, "mean_span": 1e9}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Settings):
    """One size.

    Attributes:
      steps: of Adam.
      batch: rows of a step; with a mixture half are plain, a quarter has several spans
        and a quarter one of a quarter of the text.
      context: characters of a row.
      width: of the model.
      depth: of the model.
      rate: of Adam.
      test: rows of the test.
      modules: sources of text, of which a quarter is for the test.
    """

    steps: int = 300
    batch: int = 8
    context: int = 64
    width: int = 32
    depth: int = 2
    rate: float = 5e-3
    test: int = 96
    modules: int = 40


def row_length(config: Config) -> int:
    """Tokens of a row, whatever its objective."""
    return max(corrupted_length(config.context, **kind) for kind in (SPANS, INFILL))


def rows_of(text: np.ndarray, arm: str, seed: int, config: Config) -> tuple[Any, ...]:
    """Rows of an objective.

    Args:
      text: ``(steps, batch, context)``.
      arm: of ``ARMS``.
      seed: of the spans.
      config: the size.

    Returns:
      ``(tokens, wanted, prefix)`` of ``text_model.trainer``, of one seed. With a causal
      mask all tokens are predicted; those in a prefix that sees itself are not.
    """
    length, key = row_length(config), jax.random.key(seed)
    half = config.batch if arm == ARMS[0] else config.batch // 2
    cuts = half, half + (config.batch - half) // 2
    first, *others = np.split(text, cuts, axis=1)
    spare = ((0, 0), (0, 0), (0, length - config.context))
    tokens = np.pad(first, spare, constant_values=SPECIAL.pad)
    found = [(tokens, tokens != SPECIAL.pad, np.zeros(tokens.shape[:2], np.int32))]
    for number, (part, kind) in enumerate(zip(others, (SPANS, INFILL), strict=True)):
        if part.size:
            keys = jax.random.split(jax.random.fold_in(key, number), part.shape[:2])
            found.append(_corrupter(length, tuple(kind.items()))(keys, part))
    parts = zip(*found, strict=True)
    tokens, wanted, prefix = (np.concatenate(x, axis=1) for x in parts)
    if arm == ARMS[1]:
        return tokens, tokens != SPECIAL.pad, np.zeros_like(prefix)
    return tokens, wanted, prefix


@functools.cache
def _corrupter(length: int, kind: tuple[tuple[str, float], ...]) -> Any:
    own: Any = {"special": SPECIAL, "length": length, **dict(kind)}
    one = lambda key, text: corrupt_spans(key, text, **own)
    return jax.jit(jax.vmap(jax.vmap(one)))


def infill_rows(text: np.ndarray, config: Config) -> tuple[np.ndarray, np.ndarray]:
    """Rows whose middle quarter is masked, and the places of its characters there.

    Args:
      text: ``(rows, context)``.
      config: the size.

    Returns:
      Tokens ``(rows, row_length)``, and ``(row_length,)`` booleans.
    """
    size = config.context // 4
    start = (config.context - size) // 2
    mark = SPECIAL.sentinels[0]
    column = lambda token: np.full((len(text), 1), token, np.int32)
    middle = text[:, start : start + size]
    parts = [text[:, :start], column(mark), text[:, start + size :]]
    parts += [column(SPECIAL.end), column(SPECIAL.separator), column(mark)]
    before = sum(p.shape[1] for p in parts)
    parts += [middle, column(SPECIAL.eom)]
    used = before + size + 1
    parts.append(np.full((len(text), row_length(config) - used), SPECIAL.pad, np.int32))
    at = np.arange(row_length(config))
    return np.concatenate(parts, axis=1), (at >= before) & (at < before + size)


def measure(config: Config, store: Store, text: str = "") -> dict[str, Any]:
    """Train and test a model of each objective.

    Args:
      config: the size.
      store: keeps the rows.
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
