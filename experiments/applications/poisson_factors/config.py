"""Sizes of the application on Poisson factors."""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import numpy as np

from experiments.applications.application import QUICK, STANDARD, Settings

SETS = ("words", "drawn", "binary", "sunspots")
MODELS = ("dynamic", "static")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Settings):
    """One size.

    Attributes:
      sets: the data: ``words``, ``binary`` (whether a word occurs), ``drawn`` from the
        model, or ``sunspots`` (with statsmodels).
      blocks: T, of words or drawn; the last ``ahead`` are forecast.
      block: running words in a block.
      words: V, the most frequent ones.
      drawn: features and factors of the drawn counts.
      factors: K of the sampler.
      held_out: share of the entries of the other steps that are missing.
      ahead: steps that are forecast.
      steps: sweeps; means are over the second half.
      models: of the sampler. Words and drawn counts have the same sizes, so that a
        model is compiled once for both.
    """

    sets: tuple[str, ...] = ("words", "drawn")
    blocks: int = 42
    block: int = 400
    words: int = 60
    drawn: tuple[int, int] = (60, 10)
    factors: int = 20
    held_out: float = 0.1
    ahead: int = 2
    steps: int = 200
    models: tuple[str, ...] = MODELS


SIZES = {
    QUICK: Config(
        seeds=2, sets=("drawn",), blocks=12, drawn=(10, 4), factors=5, steps=30
    ),
    STANDARD: Config(seeds=5),
}


class Measured(NamedTuple):
    """Errors of each set, ``(sets, seeds)`` or ``(sets, seeds, models)``.

    Attributes:
      sets: their names.
      losses: mean negative log-probability of a missing entry, in nats, of the models.
      forecasts: mean absolute error of the last steps, of the models and of the
        autoregression.
      active: factors of the dynamic model that take more than 1 % of the rate.
      shares: scores times weights of the dynamic model, in descending order of the
        factors, of the first set and seed, ``(T, K)``.
    """

    sets: tuple[str, ...]
    losses: np.ndarray
    forecasts: np.ndarray
    active: np.ndarray
    shares: np.ndarray
