"""The demands of a run on its model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple


class Wanted(NamedTuple):
    """The demands of data and devices on a model.

    Attributes:
      input_shape: shape of one input.
      num_classes: number of classes, or of tokens.
      norm_options: options of a layer of the catalog that stands for its norm.
      batch_axis: axis of devices over which batch statistics are averaged.
      dtype: type in which its layers compute; ``None``: their own.
      tokens: whether inputs are integers.
      activation_options: as ``norm_options``, for its activation.
      layer_options: likewise of other layers, by place.
      around: ``around(module)``, an nnx module in place of the model's own.
    """

    input_shape: tuple[int, ...]
    num_classes: int
    norm_options: Mapping[str, Any] | None = None
    batch_axis: str | None = None
    dtype: str | None = None
    tokens: bool = False
    activation_options: Mapping[str, Any] | None = None
    layer_options: Mapping[str, Mapping[str, Any]] = MappingProxyType({})
    around: Callable[[Any], Any] | None = None
