"""The claims about depth, their tables and figures."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from experiments.harness.report import Report
from experiments.harness.verdicts import Claim
from experiments.studies.depth.config import Config
from experiments.studies.depth.measure import Measured
from experiments.studies.depth.residuals import ARMS, LEARNED, ONE, ROOT, WHOLE
from experiments.studies.panels import Arms, arms_table, dots, lines

_MIX, _LNS = "Li et al. 2024, arXiv:2412.13795", "Sun et al. 2025, arXiv:2502.05795"
_SCALES = "On residual network depth, 2025, from the abstract"
_PAPERS = {"mix": _MIX, "lns": _LNS}
_GROWS, _STAYS = 0.3, 0.1
"""Of the logarithm of the root mean square: growth a module, and what is none."""


def claims(measured: Measured, config: Config) -> list[Claim]:
    """The claims with their evidence, of transformers each against pre-norm.

    See ``ClaimedExperiment.claims``.
    """
    return [
        *_of_transformers(measured.transformers),
        *_of_residuals(measured.residuals, config),
    ]


def _of_transformers(by: Mapping[str, Any]) -> list[Claim]:
    found, pre = [], by["pre"]
    for arm, paper in _PAPERS.items():
        own = by[arm]
        gains = {
            "the loss is below that of pre-norm": pre["loss"] - own["loss"],
            "a deep block saves more loss than that of pre-norm": (
                own["dropped"] - pre["dropped"]
            ),
        }
        found += [Claim(t, arm, gain, paper=paper) for t, gain in gains.items()]
    less = pre["growth"] - by["lns"]["growth"]
    text = "the variance of the residual stream grows less than with pre-norm"
    found.append(Claim(text, "lns", less, paper=_LNS))
    more = np.log(by["mix"]["ratio"] / pre["ratio"])
    text = "deep blocks have a larger part of the gradient than those of pre-norm"
    return [*found, Claim(text, "mix", more, paper=_MIX)]


def _of_residuals(by: Mapping[int, Any], config: Config) -> list[Claim]:
    deep, middle = config.modules[-1], config.modules[-2]
    of = lambda n, name, arm: by[n][name][:, ARMS.index(arm)]
    where = lambda arm, n: f"scale {arm}, {n} modules"
    growth = of(deep, "growth", ONE) / deep
    found = [
        Claim(
            f"the logarithm of the signal grows by at least {_GROWS:g} a module",
            where(ONE, deep),
            growth,
            (_GROWS, float("inf")),
        ),
        Claim(
            f"the logarithm of the signal stays within {_STAYS:g}",
            where(WHOLE, deep),
            of(deep, "growth", WHOLE),
            (-_STAYS, _STAYS),
        ),
    ]
    for arm in (ROOT, WHOLE, LEARNED):
        text = "trained, it is more accurate than scale 1"
        gain = of(deep, "accuracy", arm) - of(deep, "accuracy", ONE)
        found.append(Claim(text, where(arm, deep), gain, scale=100, unit=" %"))
    for small, large in ((ROOT, ONE), (WHOLE, ROOT)):
        text = f"trained, its scores are less steep than those of scale {large}"
        less = of(middle, "slope", large) - of(middle, "slope", small)
        found.append(Claim(text, where(small, middle), less))
    return [claim._replace(paper=_SCALES) for claim in found]


def report(measured: Measured, config: Config) -> Report:
    """Numbers, tables and figures; see ``Experiment.report``."""
    by = measured.transformers
    of: Callable[..., Any] = lambda name, change=lambda x: x: {
        arm: change(own[name]) for arm, own in by.items()
    }
    measures = {
        "loss": of("loss"),
        "variance, log of last / first": of("growth"),
        "gradient, log of deep / shallow": of("ratio", np.log),
        "loss a deep block saves, 1e-3": of("dropped", lambda x: 1000 * x),
    }
    tables = [
        arms_table(
            f"transformers of {config.depth} blocks, {config.steps} steps", measures
        )
    ]
    for modules, own in measured.residuals.items():
        values = {
            "log growth at the start": own["growth"],
            "test accuracy, %": 100 * own["accuracy"],
            "log steepness": own["slope"],
        }
        arms: dict[str, Arms] = {
            n: dict(zip(ARMS, v.T, strict=True)) for n, v in values.items()
        }
        title = f"{modules} residual modules without norms"
        tables.append(arms_table(title, arms, "scale"))
    along = lambda name, i: np.stack(
        [measured.residuals[n][name][:, i] for n in config.modules]
    )
    panels = {
        "log growth of the signal, at the start": {
            arm: along("growth", i) for i, arm in enumerate(ARMS)
        },
        "test accuracy, %, trained": {
            arm: 100 * along("accuracy", i) for i, arm in enumerate(ARMS)
        },
    }
    labels = ("modules", "")
    drawn = {
        "transformers": dots(measures),
        "residuals": lines(panels, config.modules, labels, ("log", "linear")),
    }
    return Report({"measured": measured}, tables, drawn)
