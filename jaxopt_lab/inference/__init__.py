"""Inference: drivers that decode with a model."""

from jaxopt_lab.inference.decoded import Decoded, ModelStep
from jaxopt_lab.inference.greedy import greedy

__all__ = ["Decoded", "ModelStep", "greedy"]
