"""What theory says of the thresholds, against what was measured."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from experiments.studies.stability.config import Config
from experiments.studies.stability.measure import Line, crossing
from jaxopt_lab.curvature import PlainRuns
from jaxopt_lab.lab.statistics import mean_interval


class Verdict(NamedTuple):
    """What became of a claim.

    Attributes:
      claim: the claim, in words.
      where: the problems that it was asked of.
      measured: the numbers behind the verdict.
      word: ``"holds"``, ``"does not"`` or ``"undecided"``.
    """

    claim: str
    where: str
    measured: str
    word: str


def verdicts(lines: Sequence[Line], config: Config) -> list[Verdict]:
    """Decide the claims about every problem.

    Args:
      lines: the measurements.
      config: the size of the experiment.

    Returns:
      The verdicts, problem by problem.
    """
    found = []
    for name in dict.fromkeys(line.problem for line in lines):
        mine = [line for line in lines if line.problem == name]
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
    return found


def _signs(name: str, lines: Sequence[Line], config: Config) -> Verdict:
    right = wrong = open_ = 0
    for line in lines:
        for factor, values in zip(config.factors, line.measured, strict=True):
            mean, half = mean_interval(values, config.confidence)
            above = factor > 1
            if abs(mean) <= half:
                open_ += 1
            elif (mean > 0) == above:
                right += 1
            else:
                wrong += 1
    word = "does not" if wrong else "undecided" if open_ else "holds"
    text = f"{right} right, {wrong} wrong, {open_} undecided of {right + wrong + open_}"
    claim = "the mean square grows exactly above the exact threshold"
    return Verdict(claim, name, text, word)


def _agreement(name: str, lines: Sequence[Line], config: Config) -> Verdict:
    # Below it the slowest directions of the range decide, which a few hundred steps
    # do not reach.
    above = np.asarray(config.factors) > 1
    worst = max(
        float(np.max(np.abs(line.measured.mean(axis=1) - line.predicted)[above]))
        for line in lines
    )
    claim = f"above it, growth is ln(spectral radius), within {config.tolerance:g}"
    word = "holds" if worst <= config.tolerance else "does not"
    return Verdict(claim, name, f"largest difference {worst:.4f}", word)


def _sufficient(name: str, lines: Sequence[Line]) -> Verdict:
    # The tests are theorems for Bernoulli sampling only.
    ratios = [
        (line.max_sample / line.exact, line.coherence / line.exact)
        for line in lines
        if line.sampling == "bernoulli"
    ]
    low, high = np.min(ratios, axis=0), np.max(ratios, axis=0)
    ordered = all(1 - 1e-6 <= a <= b * (1 + 1e-6) for a, b in ratios)
    text = (
        f"max_sample {low[0]:.2f} to {high[0]:.2f}, coherence {low[1]:.2f} to "
        f"{high[1]:.2f} times the exact one"
    )
    claim = "exact <= max_sample <= coherence threshold (Bernoulli)"
    return Verdict(claim, name, text, "holds" if ordered else "does not")


def _converse(name: str, lines: Sequence[Line]) -> Verdict:
    ratios = [
        line.converse / line.exact for line in lines if line.sampling == "bernoulli"
    ]
    text = f"{min(ratios):.3f} to {max(ratios):.3f} times the exact one"
    claim = "the partial converse is a lower bound here (Bernoulli)"
    below = all(ratio <= 1 + 1e-6 for ratio in ratios)
    return Verdict(claim, name, text, "holds" if below else "does not")


def _monotone(name: str, sampling: str, lines: Sequence[Line]) -> Verdict:
    measured = [crossing(line) for line in lines]
    text = ", ".join(
        f"B={line.batch_size}: {at:.4g} ({line.exact:.4g})"
        for line, at in zip(lines, measured, strict=True)
    )
    claim = f"the measured threshold falls with the batch size ({sampling})"
    if np.any(np.isnan(measured)):
        return Verdict(claim, name, text, "undecided")
    return Verdict(
        claim,
        name,
        text,
        "holds" if bool(np.all(np.diff(measured) > 0)) else "does not",
    )


def plain_verdict(runs: PlainRuns, growth: float, name: str, config: Config) -> Verdict:
    """Whether independent runs would have shown the divergence that there is.

    Args:
      runs: the runs, above the threshold.
      growth: true growth of the mean square in a step, above 0.
      name: of the problem.
      config: the size of the experiment.

    Returns:
      The verdict.
    """
    steps = runs.log_mean_square.shape[0]
    seen, true = float(runs.log_mean_square[-1]), growth * steps
    text = (
        f"at {config.plain_factor:g} of the threshold, after {steps} steps of "
        f"{config.plain_runs} runs: ln mean square {seen:+.1f}, true {true:+.1f}; "
        f"{100 * float(runs.grown):.0f} % of the runs have grown"
    )
    claim = "independent runs show the divergence (without resampling)"
    return Verdict(claim, name, text, "holds" if seen > true / 2 else "does not")
