"""Inference: drivers that decode with a model, and models merged at test time."""

from jaxopt_lab.inference.agreement import jensen_shannon
from jaxopt_lab.inference.decoded import Decoded, ModelStep
from jaxopt_lab.inference.greedy import greedy
from jaxopt_lab.inference.soups import delta_soup, interpolate, uniform_soup
from jaxopt_lab.inference.t3 import (
    FittedT3,
    apply_t3,
    fit_t3,
    t3_coefficient,
    t3_predict,
)

__all__ = [
    "Decoded",
    "FittedT3",
    "ModelStep",
    "apply_t3",
    "delta_soup",
    "fit_t3",
    "greedy",
    "interpolate",
    "jensen_shannon",
    "t3_coefficient",
    "t3_predict",
    "uniform_soup",
]
