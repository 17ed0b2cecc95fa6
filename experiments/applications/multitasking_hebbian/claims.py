"""The claims about multitasking Hebbian networks, their table and figure."""

from __future__ import annotations

import numpy as np

from experiments.applications.multitasking_hebbian.config import (
    PROTOCOLS,
    STARTS,
    TRANSITIONS,
    Config,
    Measured,
)
from experiments.harness.figures import (
    BLUE,
    GREEN,
    OCHRE,
    ORANGE,
    VIOLET,
    grid,
    legend_right,
    tidy,
)
from experiments.harness.report import Report, Table
from experiments.harness.verdicts import Claim
from experiments.spins import diluted

COLORS = (BLUE, ORANGE, GREEN, VIOLET, OCHRE)


def claims(measured: Measured, config: Config) -> list[Claim]:
    """The claims with their evidence."""
    difference = measured.overlaps - measured.theory[:, None]

    def lines(chosen: list[int]) -> np.ndarray:
        values = np.moveaxis(difference[chosen], 1, 2)
        return values.reshape(-1, config.seeds)

    def within(text: str, where: str, chosen: list[int]) -> Claim:
        values = lines(chosen)
        worst = f"largest mean difference {np.abs(values.mean(1)).max():.3f}"
        return Claim(text, where, values, (-0.05, 0.05), evidence=worst)

    every = list(enumerate(measured.cells))
    plain = [
        i
        for i, c in every
        if c.protocol == PROTOCOLS[0]
        and abs(c.blank - TRANSITIONS[c.temperature]) > 0.09
    ]
    cold = [
        i
        for i, c in every
        if (c.temperature, c.start) == (0.05, STARTS[0]) and c.blank < 0.5
    ]
    warm = [
        i
        for i, c in every
        if (c.temperature, c.start) == (0.7, STARTS[0]) and c.blank > 0.7
    ]
    found = [
        within("overlaps are those of the mean field", "off the transitions", plain)
    ]
    if cold:
        blanks = [measured.cells[i].blank for i in cold]
        powers = np.stack([diluted.hierarchy(config.patterns, d) for d in blanks])
        against = np.moveaxis(measured.overlaps[cold] - powers[:, None], 1, 2)
        found.append(
            Claim(
                "overlaps are (1 - d) d^(k - 1)",
                "d < 0.5, T = 0.05 Tc",
                against.reshape(-1, config.seeds),
                (-0.05, 0.05),
            )
        )
    if warm:
        spread = np.ptp(measured.overlaps[warm], axis=2)
        found.append(
            Claim(
                "all overlaps are equal (spread below 0.03)",
                "d > 0.7, T = 0.7 Tc",
                spread,
                (-np.inf, 0.03),
                evidence=f"largest mean spread {spread.mean(1).max():.3f}",
            )
        )
    for protocol in PROTOCOLS[1:]:
        chosen = [i for i, c in every if c.protocol == protocol]
        if not chosen:
            continue
        text = f"overlaps are those of stored archetypes ({protocol})"
        where = f"{config.examples} examples of quality {config.quality:g}"
        found.append(within(text, where, chosen))
    return found


def report(measured: Measured, config: Config) -> Report:
    """Numbers, a table and a figure."""
    temperatures = config.temperatures
    figure, (axes,) = grid(1, len(temperatures), 11.5, 3.6, sharey=True)
    mean, every = measured.overlaps.mean(1), list(enumerate(measured.cells))
    for ax, t in zip(axes, temperatures, strict=True):
        at = [i for i, c in every if c[1:] == (t, STARTS[0], PROTOCOLS[0])]
        blanks = [measured.cells[i].blank for i in at]
        for k in range(config.patterns):
            look = {"color": COLORS[k % len(COLORS)]}
            ax.plot(blanks, measured.theory[at, k], **look)
            ax.plot(blanks, mean[at, k], "o", label=f"signal {k + 1}", **look)
        ax.set(xlabel="share of blanks, d", title=f"T = {t:g} Tc")
        tidy(ax)
    axes[0].set_ylabel("overlap (lines: mean field)")
    legend_right(figure, axes[-1])
    rows = [
        (
            f"{c.blank:g}",
            f"{c.temperature:g}",
            c.start,
            c.protocol,
            " ".join(f"{m:.3f}" for m in measured.theory[i]),
            " ".join(f"{m:.3f}" for m in mean[i]),
        )
        for i, c in every
    ]
    table = Table(
        f"Overlaps with {config.patterns} patterns, N = {config.spins}",
        ("d", "T / Tc", "start", "stored", "mean field", "simulated"),
        rows,
    )
    return Report({"measured": measured}, [table], {"overlaps": figure})
