"""Sharding rules of the lab's models over a mesh axis ``"model"``."""

from __future__ import annotations

import re
from collections.abc import Sequence

from jax.sharding import Mesh
from jax.sharding import PartitionSpec as P

from jaxopt_lab.core.trees import leaves_with_path, path_name
from jaxopt_lab.core.typing import Params
from jaxopt_lab.training.sharding_rules import Rules

MODEL_AXIS = "model"

_OUT, _IN = P(None, MODEL_AXIS), P(MODEL_AXIS, None)
_CONV_OUT, _CONV_IN = P(None, None, None, MODEL_AXIS), P(None, None, MODEL_AXIS, None)
_VECTOR = P(MODEL_AXIS)

# Pairs of products: the first is cut along its outputs, with what is elementwise after
# it, the second along its inputs, so that a pair sends one all-reduce of activations
# and nothing in between. A stack of products without a second is cut by itself.
_BY_MODEL: dict[str, Sequence[Rules]] = {
    "transformer": (
        (
            ("mlp_in/kernel|qkv/kernel", _OUT),
            ("mlp_in/bias|qkv/bias", _VECTOR),
            ("mlp_out/kernel|attention_out/kernel", _IN),
        ),
    ),
    "mlp": ((("hidden/0/kernel", _OUT), ("hidden/0/bias", _VECTOR)),),
    "lstm": (
        (
            ("inputs/kernel|state/kernel", _OUT),
            ("inputs/bias", _VECTOR),
        ),
    ),
    "convnet": (
        (
            ("convs/0/kernel", _CONV_OUT),
            ("convs/0/bias", _VECTOR),
            ("convs/1/kernel", _CONV_IN),
        ),
        (("dense/kernel", _OUT), ("dense/bias", _VECTOR), ("head/kernel", _IN)),
    ),
    "poincare_resnet": (
        (
            (r"blocks/\d+/convs/0/kernel", _CONV_OUT),
            (r"blocks/\d+/convs/0/offset", _VECTOR),
        ),
    ),
    "wide_resnet": (
        (
            (r"blocks/\d+/conv1/kernel", _CONV_OUT),
            (r"blocks/\d+/norm2/", _VECTOR),
            (r"blocks/\d+/conv2/kernel", _CONV_IN),
        ),
    ),
}
# Of a bottleneck the first two: nine parts of thirteen are in the 3x3 convolution.
RESIDUAL: Rules = (
    (r"blocks/\d+/convs/0/kernel", _CONV_OUT),
    (r"blocks/\d+/norms/0/", _VECTOR),
    (r"blocks/\d+/convs/1/kernel", _CONV_IN),
)
_BY_MODEL |= {f"resnet{depth}": (RESIDUAL,) for depth in (18, 20, 50)}


def default_rules(model: str, mesh: Mesh, params: Params) -> Rules:
    """The sharding rules of a model on a mesh.

    Args:
      model: its name in ``MODELS``.
      mesh: the mesh.
      params: its parameters or their shapes.

    Returns:
      The rules; none where the mesh has no axis ``"model"``. A pair of which the model
      has one product only, such as a convnet of a single convolution, is left out.
    """
    if MODEL_AXIS not in mesh.shape:
        return ()
    paths = [path_name(path) for path, _ in leaves_with_path(params)]

    def there(pattern: str) -> bool:
        return any(re.search(pattern, path) for path in paths)

    return tuple(
        rule
        for pair in _BY_MODEL[model]
        if all(there(pattern) for pattern, _ in pair)
        for rule in pair
    )
