"""The numbers of the study on the edge of stability."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal

import optax

from experiments.studies.study import QUICK, STANDARD, Settings

PARTS = ("top_eigenvalues",)

Kind = Literal["gd", "momentum", "adam", "sgd"]

PAPERS: Mapping[Kind, str] = {
    "gd": "Cohen et al. 2021, arXiv:2103.00065",
    "momentum": "Cohen et al. 2021, arXiv:2103.00065",
    "adam": "Cohen et al. 2022, arXiv:2207.14484",
    "sgd": "Andreyev and Beneventano 2024, arXiv:2412.20553",
}
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
        """Its name in tables."""
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


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Settings):
    """One size of the study; a seed has its own initial weights and batches.

    Attributes:
      rows: the optimizers.
      points: number of measurements of the sharpness.
      every: steps between two measurements.
      examples: images trained on.
      batch_size: images in a batch of SGD.
      width: units of each of the two hidden layers.
      lanczos_steps: at most as many products for an eigenvalue.
      settled: the last part of the run, in which the sharpness is averaged.
      tolerance: distance from the edge that counts as at the edge.
    """

    rows: tuple[Row, ...]
    seeds: int = 2
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

SIZES: Mapping[str, Any] = {
    QUICK: Config(rows=_ROWS, points=10, every=50),
    STANDARD: Config(
        rows=(*_ROWS, Row("gd", 0.3), Row("adam", 5e-4), Row("sgd", 0.4)),
        seeds=10,
        points=60,
    ),
}
