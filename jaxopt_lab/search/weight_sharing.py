"""Weights that the layers of a child take over from earlier candidates."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from jaxopt_lab.core.errors import InputError


class Ancestor(NamedTuple):
    """A candidate after its training.

    Attributes:
      functions: of each layer by its name: what must be equal, such as attention and
        activation.
      params: of each layer by its name, arrays by name.
    """

    functions: Mapping[str, Hashable]
    params: Mapping[str, Mapping[str, Any]]


def inherit_weights(
    functions: Mapping[str, Hashable],
    params: Mapping[str, Mapping[str, Any]],
    ancestors: Sequence[Ancestor],
    *,
    fresh: Sequence[str] = ("norm", "skip"),
) -> dict[str, dict[str, Any]]:
    """The start of a child, with weights of ancestors where they mean the same.

    A weight is taken over from the first ancestor whose layer of the same name has the
    same functions, and a weight of the same name, shape and dtype.

    Args:
      functions: of the child's layers by name, such as ``(attention, activation)``.
      params: of the child at its start.
      ancestors: those that are asked first in front: the newest or the best.
      fresh: parts of names of layers or weights that are never taken over: statistics
        and scales of normalizations, weights of skip connections.

    Returns:
      Parameters as ``params``; nothing is copied.

    Raises:
      InputError: the child has parameters of a layer without functions.

    Source: Zhou et al., "Auto-GNN: Neural Architecture Search of Graph Neural
    Networks", 2019 (https://arxiv.org/abs/1909.03184), from memory.

    >>> old = Ancestor({"a": "relu"}, {"a": {"kernel": np.ones(2)}})
    >>> start = {"a": {"kernel": np.zeros(2)}}
    >>> for functions in ({"a": "relu"}, {"a": "tanh"}):
    ...     print(inherit_weights(functions, start, [old])["a"]["kernel"])
    [1. 1.]
    [0. 0.]
    """
    missing = [name for name in params if name not in functions]
    if missing:
        raise InputError(f"functions must name all layers; got none for {missing[0]}")

    def of(layer: str, name: str, own: Any) -> Any:
        if any(part in word for part in fresh for word in (layer, name)):
            return own
        for old in ancestors:
            same = old.functions.get(layer) == functions[layer]
            found = old.params.get(layer, {}).get(name) if same else None
            if found is not None and _form(found) == _form(own):
                return found
        return own

    return {
        layer: {name: of(layer, name, own) for name, own in weights.items()}
        for layer, weights in params.items()
    }


def _form(x: Any) -> tuple[Any, ...]:
    return np.shape(x), np.result_type(x)
