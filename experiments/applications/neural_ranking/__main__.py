"""``python -m experiments.applications.neural_ranking [quick|standard]``."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from experiments.applications import corpus
from experiments.applications.application import QUICK, STANDARD, Application
from experiments.applications.neural_ranking.lists import Config
from experiments.applications.neural_ranking.measure import (
    NETS,
    POINTWISE,
    RANKED,
    measure,
)
from experiments.harness import figures as style
from experiments.harness.report import Report, Table
from experiments.harness.verdicts import Claim


def best_of(nets: dict[str, Any], names: Any) -> np.ndarray:
    """NDCG in the test, of the net and loss that are best in validation."""
    every = [nets[net][loss] for net in NETS for loss in names if loss in nets[net]]
    return max(every, key=lambda v: float(np.mean(v["validation"])))["ndcg"]


def claims(measured: dict[str, Any], config: Config) -> list[Claim]:
    """Two claims on each set."""
    del config
    found = []
    for name, nets in measured.items():
        towers, interaction = (
            np.mean([values["ndcg"] for values in nets[net].values()], axis=0)
            for net in NETS
        )
        text = "NDCG@5 of interaction nets is above that of two towers of equal size"
        found.append(Claim(text, name, interaction - towers))
        text = "NDCG@5 of the best pair- or listwise loss is above the best pointwise"
        gain = best_of(nets, RANKED) - best_of(nets, POINTWISE)
        found.append(Claim(text, name, gain))
    return found


def report(measured: dict[str, Any], config: Config) -> Report:
    """Numbers, a table and a figure; see ``Experiment.report``."""
    shown = ("ndcg", "mean_reciprocal_rank", "mean_average_precision")
    rows = [
        (name, loss, net, *(f"{values[m].mean():.3f}" for m in shown))
        for name, nets in measured.items()
        for net in NETS
        for loss, values in nets[net].items()
    ]
    table = Table(
        f"Ten candidates a list, {config.steps} steps, means over {config.seeds} seeds",
        ("set", "loss", "net", "NDCG@5", "MRR of relevance 2", "MAP"),
        rows,
    )
    figure, (axes,) = style.grid(1, len(measured), 10.0, 4.2, sharey=True)
    places = np.arange(len(config.losses))
    for axis, (name, nets) in zip(axes, measured.items(), strict=True):
        for shift, net, color in zip(
            (-0.12, 0.12), NETS, (style.BLUE, style.ORANGE), strict=True
        ):
            values = np.stack([values["ndcg"] for values in nets[net].values()])
            deviation = values.std(axis=1, ddof=1) if config.seeds > 1 else None
            axis.errorbar(
                places + shift,
                values.mean(axis=1),
                deviation,
                fmt="o",
                color=color,
                label=net,
            )
        axis.set_xticks(places, list(config.losses), rotation=40, ha="right")
        axis.set_title(name)
        style.tidy(axis)
    axes[0].set_ylabel("test NDCG@5, mean and deviation")
    axes[0].legend(frameon=False)
    return Report({"measured": measured}, [table], {"ndcg": figure})


def prepare(config: Config, text: str = "") -> tuple[Config, dict[str, Any]]:
    """Read the options before anything is measured."""
    corpus.sources(text, count=config.modules, least=480 * 8)
    return config, {"text": text}


APPLICATION = Application(
    name="neural_ranking",
    parts=("pairwise_hinge", "ranknet", "lambdarank", "list_mle", "approx_ndcg"),
    purpose="Ranking of candidates by point-, pair- and listwise losses, with two "
    "towers and with a net of interactions, on digits and on passages of text. "
    "standard: about two minutes.",
    sizes={
        QUICK: Config(
            seeds=2,
            steps=20,
            lists=64,
            batch=16,
            rates=(1e-2,),
            modules=24,
            sets=("passages",),
            losses=("squared error", "RankNet", "ListMLE"),
        ),
        STANDARD: Config(seeds=5),
    },
    measure=measure,
    claims=claims,
    report=report,
    options={"text": corpus.TEXT},
    prepare=prepare,
    paper="neural ranking models, definitions from memory",
)

if __name__ == "__main__":
    sys.exit(APPLICATION.main())
