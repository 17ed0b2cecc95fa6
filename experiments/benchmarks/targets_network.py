"""The network that ``targets`` compiles: layers of equal size, without a framework."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from jaxopt_lab.core.typing import TrainLossFn
from jaxopt_lab.lab.plan.planned_model import Layer, float32
from jaxopt_lab.training.sharding_rules import Rules


@dataclass(frozen=True)
class DenseNetwork:
    """Square matrices and biases; see ``PlannedModel`` for its methods.

    Attributes:
      width: rows and columns of every matrix.
      depth: number of layers.
    """

    width: int
    depth: int

    @property
    def example(self) -> str:
        """See ``PlannedModel``."""
        return "one vector"

    def init(self) -> tuple[Any, Any]:
        """See ``PlannedModel``."""
        tree: dict[str, Any] = {}
        for i in range(self.depth):
            tree[f"w{i}"] = (self.width, self.width)
            tree[f"b{i}"] = (self.width,)
        return float32(tree), {}

    def batch(self, size: int) -> dict[str, jax.ShapeDtypeStruct]:
        """Inputs and targets."""
        shape = jax.ShapeDtypeStruct((size, self.width), jnp.float32)
        return {"x": shape, "y": shape}

    def rules(self) -> Rules:
        """None: the mesh has no model axis."""
        return ()

    def loss_fn(self, dtype: Any = jnp.float32, gathered: Any = None) -> TrainLossFn:
        """Mean squared error behind layers of tanh."""
        del gathered

        def loss(params: Any, model_state: Any, batch: Any, key: Any, /) -> Any:
            x = batch["x"].astype(dtype)
            for i in range(self.depth):
                x = jnp.tanh(x @ params[f"w{i}"] + params[f"b{i}"][None])
            return jnp.mean((x - batch["y"]) ** 2), (model_state, {})

        return loss

    def logits(self, size: int) -> int:
        """See ``PlannedModel``."""
        return size * self.width

    def layer_of(self, size: int) -> tuple[Layer, jax.ShapeDtypeStruct] | None:
        """None: nothing is recomputed."""
        del size
        return None

    def hand_flops(self, size: int) -> float:
        """Six operations a weight and example."""
        return 6.0 * size * self.depth * self.width**2
