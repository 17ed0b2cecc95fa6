"""What the theory says about the batch size, against what was measured."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from experiments.studies.batch_hessian.config import Config
from experiments.studies.batch_hessian.measure import Spectra
from jaxopt_lab.lab.statistics import Interval, mean_interval


class Verdict(NamedTuple):
    """What became of a claim.

    Attributes:
      claim: the claim, in words.
      measured: the numbers behind the verdict.
      word: ``"holds"``, ``"does not"`` or ``"undecided"``.
    """

    claim: str
    measured: str
    word: str


def slope(batch_sizes: tuple[int, ...], rates: np.ndarray, config: Config) -> Interval:
    """Slope of a straight line in a log-log plot, fitted for each seed.

    Args:
      batch_sizes: batch sizes.
      rates: learning rates, shape ``(batch sizes, seeds)``; seeds with a NaN are left
        out.
      config: the size of the experiment.

    Returns:
      The mean slope over the seeds and half its interval; NaN where no seed is left,
      or a single batch size is given.
    """
    whole = rates[:, ~np.isnan(rates).any(axis=0)]
    if not whole.shape[1] or len(batch_sizes) < 2:
        return Interval(float("nan"), float("nan"))
    logs = np.log(np.asarray(batch_sizes, np.float64))
    slopes = np.polyfit(logs, np.log(whole), 1)[0]
    return mean_interval(slopes, config.confidence)


def halves(config: Config) -> tuple[slice, slice]:
    """The smaller and the larger batch sizes; the middle one belongs to both."""
    count = len(config.batch_sizes)
    return slice(0, (count + 2) // 2), slice(count // 2, count)


def verdicts(
    spectra: Spectra, rates: dict[str, np.ndarray], config: Config
) -> list[Verdict]:
    """Decide the claims.

    Args:
      spectra: eigenvalues.
      rates: largest stable learning rates, of ``"sgd"``, ``"adam"`` and the
        ``"linearised"`` SGD.
      config: the size of the experiment.

    Returns:
      The verdicts.
    """
    small, large = halves(config)
    found = [
        _grows(spectra, config),
        _formula("largest", spectra.largest, spectra.predicted[0], config),
        _formula("smallest", spectra.smallest, spectra.predicted[1], config),
    ]
    for name, part, claimed, regime in (
        ("sgd", small, 1.0, "small batches: linear"),
        ("sgd", large, 0.0, "large batches: flat"),
        ("linearised", small, 1.0, "small batches: linear"),
        ("linearised", large, 0.0, "large batches: flat"),
        ("adam", small, 0.5, "small batches: square root"),
        ("adam", large, 0.0, "large batches: flat"),
    ):
        sizes = config.batch_sizes[part]
        measured = slope(sizes, rates[name][part], config)
        claim = (
            f"{name}, {regime} (slope {claimed:g} within {config.tolerance:g}, "
            f"B = {sizes[0]} to {sizes[-1]})"
        )
        found.append(_slope(claim, measured, claimed, config))
    steep = slope(config.batch_sizes[small], rates["sgd"][small], config)
    less = slope(config.batch_sizes[small], rates["adam"][small], config)
    apart = steep.mean - less.mean
    half = float(np.hypot(steep.half, less.half))
    found.append(
        Verdict(
            "small batches: SGD's rate grows faster with the batch than Adam's",
            f"difference of slopes {apart:+.2f} +- {half:.2f}",
            _sign(apart, half),
        )
    )
    found.append(_two_over(spectra, rates["sgd"]))
    found.append(_at_least(rates["sgd"], rates["linearised"]))
    return found


def _at_least(rates: np.ndarray, linearised: np.ndarray) -> Verdict:
    ratios = np.nanmean(rates, axis=1) / linearised.mean(axis=1)
    text = f"stable rate over it: {ratios.min():.2f} to {ratios.max():.2f}"
    claim = "SGD trains at least up to the exact threshold of the linearised dynamics"
    return Verdict(claim, text, "holds" if ratios.min() >= 1 else "does not")


def _sign(mean: float, half: float) -> str:
    if not abs(mean) > half:
        return "undecided"
    return "holds" if mean > 0 else "does not"


def _slope(claim: str, measured: Interval, claimed: float, config: Config) -> Verdict:
    text = f"slope {measured.mean:.2f} +- {measured.half:.2f}"
    distance = abs(measured.mean - claimed)
    half = 0.0 if np.isnan(measured.half) else measured.half
    if np.isnan(distance):
        word = "undecided"
    elif distance + half <= config.tolerance:
        word = "holds"
    else:
        word = "does not" if distance - half > config.tolerance else "undecided"
    return Verdict(claim, text, word)


def _grows(spectra: Spectra, config: Config) -> Verdict:
    means = spectra.largest.mean(axis=1)
    b = config.batch_sizes
    text = (
        f"largest: B={b[0]} {means[0]:.3g}, B={b[-1]} {means[-1]:.3g}, whole set "
        f"{spectra.whole[0]:.3g}"
    )
    above = bool(means[0] > spectra.whole[0] and means[0] > means[-1])
    claim = "extremal eigenvalues are larger in smaller batches"
    return Verdict(claim, text, "holds" if above else "does not")


def _formula(
    which: str, measured: np.ndarray, predicted: np.ndarray, config: Config
) -> Verdict:
    ratios = measured.mean(axis=1) / predicted
    text = ", ".join(
        f"B={b} {ratio:.2f}"
        for b, ratio in zip(config.batch_sizes, ratios, strict=True)
    )
    worst = float(np.max(np.abs(ratios - 1)))
    claim = (
        f"the additive formula gives the {which} eigenvalue within "
        f"{100 * config.formula_tolerance:g} %"
    )
    word = "holds" if worst <= config.formula_tolerance else "does not"
    return Verdict(claim, f"measured over predicted: {text}", word)


def _two_over(spectra: Spectra, rates: np.ndarray) -> Verdict:
    ratios = np.nanmean(rates, axis=1) * spectra.largest.mean(axis=1) / 2
    text = f"stable rate over it: {ratios.min():.2f} to {ratios.max():.2f}"
    close = bool(ratios.min() > 0.8 and ratios.max() < 1.25)
    claim = "SGD's stable rate is 2 over the batch's largest eigenvalue, within 25 %"
    return Verdict(claim, text, "holds" if close else "does not")
