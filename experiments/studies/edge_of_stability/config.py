"""The settings of the experiment: everything that is a number."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal

import optax

Kind = Literal["gd", "momentum", "adam", "sgd"]

MOMENTUM = 0.9
B1, B2 = 0.9, 0.99


@dataclasses.dataclass(frozen=True)
class Row:
    """An optimizer at one step size.

    Attributes:
      kind: gradient descent, the same with momentum, Adam, all on the whole set; or
        SGD on small batches.
      rate: the step size.
      progressive: whether the sharpness starts below the edge, so that its rise can be
        seen.
    """

    kind: Kind
    rate: float
    progressive: bool = True

    @property
    def name(self) -> str:
        """What it is called."""
        return f"{self.kind}, rate {self.rate:g}"

    @property
    def edge(self) -> float:
        """The largest eigenvalue at which a quadratic is still stable.

        For Adam it is one of the preconditioned Hessian.
        """
        if self.kind == "momentum":
            return 2 * (1 + MOMENTUM) / self.rate
        if self.kind == "adam":
            return 2 * (1 + B1) / (1 - B1) / self.rate
        return 2 / self.rate

    @property
    def formula(self) -> str:
        """The same in symbols."""
        return {
            "momentum": "(2 + 2 beta) / eta",
            "adam": "(2 + 2 b1) / ((1 - b1) eta)",
        }.get(self.kind, "2 / eta")

    def optimizer(self) -> optax.GradientTransformation:
        """The transformation."""
        if self.kind == "adam":
            return optax.adam(self.rate, b1=B1, b2=B2)
        return optax.sgd(self.rate, MOMENTUM if self.kind == "momentum" else None)


@dataclasses.dataclass(frozen=True)
class Config:
    """One size of the experiment.

    Attributes:
      rows: the optimizers.
      seeds: number of seeds; each has its own initial weights and batches.
      points: how often the sharpness is measured.
      every: steps between two measurements.
      examples: images trained on.
      batch_size: images in a batch of SGD.
      width: units of each of the two hidden layers.
      lanczos_steps: at most as many products for an eigenvalue.
      settled: the last part of the run, in which the sharpness is averaged.
      tolerance: how far from the edge still counts as at the edge.
    """

    rows: tuple[Row, ...]
    seeds: int = 4
    points: int = 30
    every: int = 100
    examples: int = 400
    batch_size: int = 10
    width: int = 48
    lanczos_steps: int = 20
    settled: float = 0.25
    tolerance: float = 0.1


_ROWS = (
    Row("gd", 0.2),
    Row("gd", 0.4, progressive=False),
    Row("momentum", 0.4),
    Row("adam", 1e-3),
    Row("sgd", 0.3),
)

CONFIGS: Mapping[str, Any] = {
    "quick": Config(_ROWS),
    "full": Config(
        (*_ROWS, Row("gd", 0.3), Row("adam", 5e-4), Row("sgd", 0.4)),
        seeds=10,
        points=60,
    ),
}
