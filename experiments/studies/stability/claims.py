"""The claims of the theory about the thresholds, and their tables."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from experiments.harness.report import Report, Table
from experiments.harness.verdicts import Claim, exact
from experiments.studies.stability.config import Config
from experiments.studies.stability.measure import Line, Measured, Plain, crossing

_ROUNDING = 1e-6


def claims(measured: Measured, config: Config) -> list[Claim]:
    """The claims about every problem with their evidence.

    See ``ClaimedExperiment.claims``.

    Returns:
      The claims, problem by problem.
    """
    found = []
    for name in dict.fromkeys(line.problem for line in measured.lines):
        mine = [line for line in measured.lines if line.problem == name]
        found += [
            _signs(name, mine, config),
            _agreement(name, mine, config),
            _sufficient(name, mine),
            _converse(name, mine),
        ]
        found += [
            _monotone(name, sampling, [x for x in mine if x.sampling == sampling])
            for sampling in dict.fromkeys(line.sampling for line in mine)
        ]
    if measured.plain is not None:
        found.append(plain_claim(measured.plain, config))
    return found


def _signs(name: str, lines: Sequence[Line], config: Config) -> Claim:
    sign = np.sign(np.asarray(config.factors) - 1)[:, None]
    return Claim(
        "the mean square grows exactly above the exact threshold, at every rate",
        name,
        np.concatenate([sign * line.measured for line in lines]),
        evidence="growth in the predicted direction, where it is the least certain",
    )


def _agreement(name: str, lines: Sequence[Line], config: Config) -> Claim:
    # Only above it: below, the slowest directions of the range decide, which a few
    # hundred steps do not reach.
    above = np.asarray(config.factors) > 1
    differences = [(x.measured - x.predicted[:, None])[above] for x in lines]
    return Claim(
        f"above it, growth is ln(spectral radius) within {config.tolerance:g}, at "
        "every rate",
        name,
        np.concatenate(differences),
        (-config.tolerance, config.tolerance),
    )


def _sufficient(name: str, lines: Sequence[Line]) -> Claim:
    # The tests are theorems for Bernoulli sampling only.
    ratios = [
        (line.max_sample / line.exact, line.coherence / line.exact)
        for line in lines
        if line.sampling == "bernoulli"
    ]
    low, high = np.min(ratios, axis=0), np.max(ratios, axis=0)
    ordered = all(1 - _ROUNDING <= a <= b * (1 + _ROUNDING) for a, b in ratios)
    return exact(
        "exact <= max_sample <= coherence threshold (Bernoulli)",
        ordered,
        f"max_sample {low[0]:.2f} to {high[0]:.2f}, coherence {low[1]:.2f} to "
        f"{high[1]:.2f} times the exact one",
        name,
    )


def _converse(name: str, lines: Sequence[Line]) -> Claim:
    ratios = [
        line.converse / line.exact for line in lines if line.sampling == "bernoulli"
    ]
    return exact(
        "the partial converse is a lower bound here (Bernoulli)",
        all(ratio <= 1 + _ROUNDING for ratio in ratios),
        f"{min(ratios):.3f} to {max(ratios):.3f} times the exact one",
        name,
    )


def _monotone(name: str, sampling: str, lines: Sequence[Line]) -> Claim:
    crossings = [[crossing(x.rates, g) for g in x.measured.T] for x in lines]
    text = ", ".join(
        f"B={line.batch_size}: {np.mean(at):.4g} ({line.exact:.4g})"
        for line, at in zip(lines, crossings, strict=True)
    )
    return Claim(
        f"the measured threshold rises with the batch size ({sampling})",
        name,
        np.diff(np.asarray(crossings), axis=0),
        evidence=text,
    )


def plain_claim(plain: Plain, config: Config) -> Claim:
    """The claim that independent runs would have shown the divergence.

    Args:
      plain: the runs, above the threshold.
      config: the size of the study.

    Returns:
      The claim; exact, of one simulation of many runs.
    """
    steps = plain.runs.log_mean_square.shape[0]
    seen, true = float(plain.runs.log_mean_square[-1]), plain.growth * steps
    return exact(
        "independent runs show the divergence (without resampling)",
        seen > true / 2,
        f"at {config.plain_factor:g} of the threshold, after {steps} steps of "
        f"{config.plain_runs} runs: ln mean square {seen:+.1f}, true {true:+.1f}; "
        f"{100 * float(plain.runs.grown):.0f} % of the runs have grown",
        plain.problem,
    )


def report(measured: Measured, config: Config) -> Report:
    """Numbers, tables and figures; see ``Experiment.report``."""
    from experiments.studies.stability import figures

    drawn = {}
    if measured.plain is not None:
        drawn["plain_runs"] = figures.plain_runs(measured.plain, config)
    for sampling in config.samplings:
        mine = [line for line in measured.lines if line.sampling == sampling]
        drawn[f"growth_{sampling}"] = figures.growth_curves(mine)
    return Report({"lines": measured.lines}, [_table(measured.lines)], drawn)


def _table(lines: Sequence[Line]) -> Table:
    rows = []
    for line in lines:
        rates = (
            crossing(line.rates, line.measured.mean(axis=1)),
            line.exact,
            line.max_sample,
            line.coherence,
            line.gradient_descent,
            line.converse,
        )
        rows.append(
            (
                line.problem,
                line.sampling.replace("_", " "),
                str(line.batch_size),
                f"{line.sigma_per_sample:.3f}",
                *(f"{rate:.4g}" for rate in rates),
            )
        )
    names = ("measured", "exact", "max_sample", "coherence", "2/lambda_1", "converse")
    return Table(
        "learning rates; the simple tests are for Bernoulli sampling",
        ("problem", "sampling", "B", "sigma/n", *names),
        rows,
    )
