"""The claims about decoding, their tables and their figure."""

from __future__ import annotations

import numpy as np

from experiments.harness.report import Report, Table
from experiments.harness.verdicts import Claim, exact
from experiments.studies import panels
from experiments.studies.decoding.config import Config
from experiments.studies.decoding.measure import TIE, Measured

_SPECULATIVE = "Batch Speculative Decoding Done Right, 2025"
_SKIP = "Del Corro et al. 2023, arXiv:2307.02628"
_CREDIT = "CreditDecoding, 2025"


def claims(measured: Measured, config: Config) -> list[Claim]:
    """The claims with their evidence; see ``ClaimedExperiment.claims``."""
    rate, loss = measured.per_call, measured.losses
    rows = config.prompts * config.seeds
    differing, broken, wide = (
        int(counts.sum())
        for counts in (measured.differing, measured.unexplained, measured.differing64)
    )
    smaller = float((measured.sizes["target"] / measured.sizes["draft"]).min())
    paper = {"paper": _SPECULATIVE}
    return [
        exact(
            "prompts of unequal lengths are decoded as greedily, in float64 and, but "
            f"for ties of logits below {TIE:g}, in float32",
            broken == wide == 0,
            f"of {rows} rows differ {wide} in float64, {differing} in float32, of "
            f"these {broken} without a tie; target {smaller:.1f} times the draft",
            "speculative",
        )._replace(**paper),
        exact(
            "one program decodes prompts of all lengths",
            bool(np.all(measured.programs == 1)),
            f"at most {int(measured.programs.max())} compilations",
            "speculative",
        )._replace(**paper),
        Claim(
            "more than one token of a row in a call of the target",
            "speculative",
            rate["speculative"] - 1,
            paper=_SPECULATIVE,
        ),
        Claim(
            "a seat makes more tokens in a call where rows leave their seats to others",
            "pool",
            rate["pool"] - rate["speculative"],
            paper=_SPECULATIVE,
        ),
        Claim(
            "the loss is below that of an early exit at equal cost, both tuned",
            "skip_decode",
            loss["exit"] - loss["skip"],
            paper=_SKIP,
        ),
        Claim(
            "the loss is within 3 % of that of all layers",
            "skip_decode",
            1.03 * loss["full"] - loss["skip"],
            paper=_SKIP,
        ),
        Claim(
            "credits decide more tokens in a call than the threshold alone",
            "credit_decoding",
            rate["credit"] - rate["threshold"],
            paper=_CREDIT,
        ),
    ]


def report(measured: Measured, config: Config) -> Report:
    """Numbers, tables and a figure; see ``Experiment.report``."""
    mean = lambda values: "-" if values is None else f"{values.mean():.3g}"
    rows = [
        (
            name,
            mean(values),
            mean(measured.calls[name]),
            mean(measured.accepted.get(name)),
            mean(measured.seconds[name]),
        )
        for name, values in measured.per_call.items()
    ]
    table = Table(
        f"{config.prompts} prompts, {config.new} new tokens each, means over "
        f"{config.seeds} seed(s); draft of {measured.sizes['draft'].mean():,.0f} and "
        f"target of {measured.sizes['target'].mean():,.0f} parameters",
        ("decoder", "tokens a call", "calls", "accepted", "time / greedy"),
        rows,
    )
    losses = Table(
        "the target with fewer layers, tuned with its schedule",
        ("layers", "share that runs", "loss"),
        [
            (arm, mean(measured.layers[arm]), f"{values.mean():.4f}")
            for arm, values in measured.losses.items()
        ],
    )
    texts = Table(
        "speculative text against greedy text, prompts of several lengths",
        (
            "rows",
            "that differ in float64",
            "in float32",
            f"first at logits further apart than {TIE:g}",
        ),
        [
            (
                str(config.prompts * config.seeds),
                f"{measured.differing64.sum():.0f}",
                f"{measured.differing.sum():.0f}",
                f"{measured.unexplained.sum():.0f}",
            )
        ],
    )
    measures = {
        "new tokens of a row in a call": measured.per_call,
        "time over that of greedy decoding": measured.seconds,
    }
    figures = {"decoders": panels.dots(measures)}
    return Report({"measured": measured}, [table, losses, texts], figures)
