"""``python -m experiments.applications.text_mixtures [quick|standard]``.

Documents of four sources, many of them near copies of a few others within their source
or in another, are deduplicated by MinHash within the sources (local) or over all
(global). A small model of characters is trained on as many characters of each set, in
equal shares of the sources, and on one source alone.
"""

from __future__ import annotations

import sys
from typing import Any

import jax
import numpy as np

from experiments.applications import corpus
from experiments.applications.application import QUICK, STANDARD, Application
from experiments.applications.text_mixtures.documents import (
    SIZE,
    SOURCES,
    Config,
    Corpus,
    pair_scores,
    pieces,
    planted,
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
from jaxopt_lab.data import MixtureSampler, deduplicate, exact_overlap

ARMS = ("no deduplication", "local", "global", "global, one source")


def training_rows(
    data: Corpus, kept: np.ndarray, shares: list[float], seed: int, config: Config
) -> np.ndarray:
    """Rows of documents that are kept, in fixed shares of the sources.

    Args:
      data: the documents.
      kept: which are trained on.
      shares: of the sources.
      seed: of the order and of the places in the documents.
      config: the size.

    Returns:
      ``(steps, batch, context)``.
    """
    members = [np.flatnonzero(kept & (data.source == s)) for s in range(SOURCES)]
    sampler = MixtureSampler([len(m) for m in members], shares, config.batch, seed=seed)
    draw = np.random.default_rng([seed, 4])
    tokens = [corpus.encoded(document) for document in data.documents]
    out = np.empty((config.steps, config.batch, config.context), np.int32)
    for step in range(config.steps):
        source, row = sampler.next()
        for place, (s, r) in enumerate(zip(source, row, strict=True)):
            own = [tokens[members[s][r]]]
            out[step, place] = windows(draw, own, 1, config.context)[0]
    return out


def measure(config: Config, store: Store, text: str = "") -> dict[str, Any]:
    """Deduplicate, train and test; see ``Experiment.measure``.

    Args:
      text: a file; empty: the standard library.

    Returns:
      ``{arm: {"losses": (seeds, sources), "documents", "precision", "recall",
      "overlap": (seeds,)}}``, nats a character; overlap is the number of documents of
      the test that are trained on, too.
    """
    shape = Shape(len(corpus.VOCABULARY), config.width, config.depth, 4, config.rate)
    seeds = range(config.first_seed, config.first_seed + config.seeds)
    every = [planted(config, seed, text) for seed in seeds]
    draws = [np.random.default_rng([seed, 5]) for seed in seeds]
    starts = [init(draw, shape) for draw in draws]
    tests = np.stack(
        [
            np.concatenate(
                [
                    windows(
                        draw, [*map(corpus.encoded, own)], config.test, config.context
                    )
                    for own in data.test
                ]
            )
            for draw, data in zip(draws, every, strict=True)
        ]
    )
    stack = lambda *x: np.stack(x)

    def found(arm: str) -> list[Any]:
        within = lambda data: data.source if arm == "local" else None
        return [deduplicate(data.documents, within=within(data)) for data in every]

    def run(arm: str) -> dict[str, np.ndarray]:
        whole = [np.ones(len(data.documents), bool) for data in every]
        scores = np.array([(1.0, 0.0)] * len(every))
        if arm != ARMS[0]:
            groups = found(arm)
            whole = [g.kept for g in groups]
            pairs = zip(groups, every, strict=True)
            scores = np.array([pair_scores(g.groups, d.original) for g, d in pairs])
        if arm == ARMS[3]:
            whole = [k & (d.source == 0) for k, d in zip(whole, every, strict=True)]
        shares = [1.0, 0.0, 0.0, 0.0] if arm == ARMS[3] else [1 / SOURCES] * SOURCES
        sets = zip(every, whole, seeds, strict=True)
        rows = np.stack([training_rows(d, k, shares, s, config) for d, k, s in sets])
        nothing = np.zeros(rows.shape[:3], np.int32)
        params = jax.tree.map(stack, *starts)
        params = trainer(shape)(params, rows, np.ones_like(rows, bool), nothing)
        none = np.zeros(tests.shape[:2], np.int32)
        losses = np.asarray(evaluator(shape)(params, tests, none))[:, :, 1:]
        overlap = [
            exact_overlap(pieces(d), [d.documents[i] for i in np.flatnonzero(k)]).sum()
            for d, k in zip(every, whole, strict=True)
        ]
        return {
            "losses": losses.reshape(len(losses), SOURCES, -1).mean(axis=2),
            "documents": np.array([k.sum() for k in whole]),
            "precision": scores[:, 0],
            "recall": scores[:, 1],
            "overlap": np.array(overlap),
        }

    rows = store.group("runs")
    return {arm: rows.measured(arm, lambda arm=arm: run(arm), text) for arm in ARMS}


def claims(measured: dict[str, Any], config: Config) -> list[Claim]:
    """The claims on deduplication and on one source."""
    del config
    none, local, whole, single = (measured[arm]["losses"].mean(axis=1) for arm in ARMS)
    where = "mean over the sources"
    texts = {
        "local deduplication lowers the cross-entropy": none - local,
        "global deduplication lowers it below local": local - whole,
        "equal shares of four sources are better than one source": single - whole,
    }
    return [Claim(text, where, gap, unit=" nats") for text, gap in texts.items()]


def report(measured: dict[str, Any], config: Config) -> Report:
    """Numbers, a table and a figure; see ``Experiment.report``."""
    rows = [
        (
            arm,
            f"{values['documents'].mean():.0f}",
            *(
                "-" if arm == ARMS[0] else f"{values[name].mean():.3f}"
                for name in ("precision", "recall")
            ),
            f"{values['overlap'].mean():.0f}",
            *(f"{x:.3f}" for x in values["losses"].mean(axis=0)),
        )
        for arm, values in measured.items()
    ]
    sources = [f"source {i + 1}" for i in range(SOURCES)]
    table = Table(
        f"Planted pairs, and cross-entropy in nats a character of clean text after "
        f"{config.steps} steps of {config.batch} rows of {config.context} characters, "
        f"means over {config.seeds} seeds",
        ("set", "documents", "precision", "recall", "in the test too", *sources),
        rows,
    )
    figure, ((axis,),) = style.grid(1, 1, 7.5, 4.0)
    colors = (style.GREY, style.BLUE, style.GREEN, style.ORANGE)
    shifts = np.linspace(-0.24, 0.24, len(ARMS))
    for shift, arm, color in zip(shifts, ARMS, colors, strict=True):
        values = measured[arm]["losses"]
        deviation = values.std(axis=0, ddof=1) if config.seeds > 1 else None
        places, mean = np.arange(SOURCES) + shift, values.mean(axis=0)
        axis.errorbar(places, mean, deviation, fmt="o", color=color, label=arm)
    axis.set_xticks(range(SOURCES), sources)
    axis.set_ylabel("test nats a character, mean and deviation")
    axis.legend(frameon=False)
    style.tidy(axis)
    return Report({"measured": measured}, [table], {"cross_entropy": figure})


def prepare(config: Config, text: str = "") -> tuple[Config, dict[str, Any]]:
    """Read the options before anything is measured."""
    corpus.sources(text, count=config.modules, least=SIZE * config.documents)
    return config, {"text": text}


APPLICATION = Application(
    name="text_mixtures",
    purpose="Near duplicates found by MinHash within sources and over all, and a small "
    "model of text trained on what is left (SlimPajama-DC). standard: about two "
    "minutes.",
    sizes={
        QUICK: Config(
            seeds=2, steps=20, modules=16, documents=4, originals=3, test=8, depth=1
        ),
        STANDARD: Config(seeds=5),
    },
    measure=measure,
    claims=claims,
    report=report,
    options={"text": corpus.TEXT},
    prepare=prepare,
    paper="Shen et al. 2023, arXiv:2309.10818",
)

if __name__ == "__main__":
    sys.exit(APPLICATION.main())
