"""How the models of the lab are cut over a mesh axis ``"model"``."""

from __future__ import annotations

from jax.sharding import Mesh
from jax.sharding import PartitionSpec as P

from jaxopt_lab.errors import InputError
from jaxopt_lab.training.sharding import Rules

MODEL_AXIS = "model"

# Pairs of products: the first is cut along its outputs, the second along its inputs, so
# that a pair sends one all-reduce of activations and nothing in between.
_BY_MODEL: dict[str, Rules] = {
    "transformer": (
        ("mlp_in/kernel|qkv/kernel", P(None, MODEL_AXIS)),
        ("mlp_in/bias|qkv/bias", P(MODEL_AXIS)),
        ("mlp_out/kernel|attention_out/kernel", P(MODEL_AXIS, None)),
    ),
    "mlp": (
        ("hidden/0/kernel", P(None, MODEL_AXIS)),
        ("hidden/0/bias", P(MODEL_AXIS)),
    ),
    "lstm": (
        ("inputs/kernel|state/kernel", P(None, MODEL_AXIS)),
        ("inputs/bias", P(MODEL_AXIS)),
    ),
}


def default_rules(model: str, mesh: Mesh) -> Rules:
    """The sharding rules of a model on a mesh.

    Args:
      model: its name in ``MODELS``.
      mesh: the mesh.

    Returns:
      The rules; none where the mesh has no axis ``"model"``.

    Raises:
      InputError: it has one, and there are no rules for this model.
    """
    if MODEL_AXIS not in mesh.shape:
        return ()
    if model not in _BY_MODEL:
        raise InputError(
            f"model {model} has no sharding rules for the mesh axis {MODEL_AXIS!r}; "
            f"give rules=, such as rules='dense/kernel=-,{MODEL_AXIS}'. Models that "
            f"have some: {', '.join(sorted(_BY_MODEL))}"
        )
    return _BY_MODEL[model]
