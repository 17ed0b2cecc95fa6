"""Networks for ``targets``: layers of equal size, and the leaves of a GPT-2."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from jaxopt_lab.core.errors import InputError
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


@dataclass(frozen=True)
class ManyLeaves:
    """A parameter tree of GPT-2's shapes under a loss that costs nothing to compile.

    Embeddings and a last normalization, 4 leaves, and 12 for each block: two
    normalizations, and four products with biases. The gradient of a leaf is a multiple
    of it, so that what is compiled is the optimizer. See ``PlannedModel`` for the
    methods.

    Attributes:
      leaves: number of leaves, 4 and a multiple of 12; GPT-2 of 124M has 148.
      width: of the activations; GPT-2 of 124M has 768.
    """

    leaves: int
    width: int

    def __post_init__(self) -> None:
        if self.leaves < 4 or self.leaves % 12 != 4:
            raise InputError(
                f"leaves must be 4 and 12 for each block; got {self.leaves}"
            )

    @property
    def example(self) -> str:
        """See ``PlannedModel``."""
        return "one number"

    def init(self) -> tuple[Any, Any]:
        """See ``PlannedModel``."""
        w = self.width
        scaled = {"scale": (w,), "bias": (w,)}
        dense = lambda rows, columns: {"kernel": (rows, columns), "bias": (columns,)}
        tree: dict[str, Any] = {"wte": (50257, w), "wpe": (1024, w), "ln_f": scaled}
        for i in range(self.leaves // 12):
            tree[f"h_{i}"] = {
                "ln_1": scaled,
                "attention": dense(w, 3 * w),
                "projection": dense(w, w),
                "ln_2": scaled,
                "up": dense(w, 4 * w),
                "down": dense(4 * w, w),
            }
        return float32(tree), {}

    def batch(self, size: int) -> dict[str, jax.ShapeDtypeStruct]:
        """One number for each example."""
        return {"x": jax.ShapeDtypeStruct((size,), jnp.float32)}

    def rules(self) -> Rules:
        """None: the mesh has no model axis."""
        return ()

    def loss_fn(self, dtype: Any = jnp.float32, gathered: Any = None) -> TrainLossFn:
        """Norm of all parameters, times the mean of the batch.

        Its gradient needs the norm, so that parameters are read before they change.
        """
        del dtype, gathered

        def loss(params: Any, model_state: Any, batch: Any, key: Any, /) -> Any:
            squares = sum(jnp.sum(x * x) for x in jax.tree.leaves(params))
            return jnp.mean(batch["x"]) * jnp.sqrt(squares), (model_state, {})

        return loss

    def logits(self, size: int) -> int:
        """None."""
        return 0 * size

    def layer_of(self, size: int) -> tuple[Layer, jax.ShapeDtypeStruct] | None:
        """None: nothing is recomputed."""
        del size
        return None

    def hand_flops(self, size: int) -> float:
        """None that count."""
        return 0.0 * size
