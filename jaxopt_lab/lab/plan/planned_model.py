"""The interface of a model that can be planned."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import jax
import jax.numpy as jnp

from jaxopt_lab.core.typing import TrainLossFn
from jaxopt_lab.training.sharding_rules import Rules

Layer = Callable[[Any, Any], Any]
"""Of activations and of one layer's parameters."""


class PlannedModel(Protocol):
    """A model by its shapes, with the loss that is trained."""

    @property
    def example(self) -> str:
        """One example in words, such as ``"2048 tokens"``."""
        ...

    def init(self) -> tuple[Any, Any]:
        """Shapes of the parameters and of the model state.

        Parameters below ``"layers"`` are stacked: their first axis is scanned over.
        """
        ...

    def batch(self, size: int) -> dict[str, jax.ShapeDtypeStruct]:
        """Shapes of a batch of ``size`` examples."""
        ...

    def loss_fn(self, dtype: Any = jnp.bfloat16, gathered: Any = None) -> TrainLossFn:
        """The loss, as ``make_train_step`` wants it.

        Args:
          dtype: type of activations and products; parameters are float32.
          gathered: shardings of each parameter while it is used, by name, those of
            stacked layers without their leading axis: parameters that are divided
            over the data axis are gathered a layer at a time. ``None``: the stored.
        """
        ...

    def rules(self) -> Rules:
        """Sharding rules of the parameters over the mesh axis ``"model"``."""
        ...

    def logits(self, size: int) -> int:
        """Number of logits of a batch."""
        ...

    def layer_of(self, size: int) -> tuple[Layer, jax.ShapeDtypeStruct] | None:
        """The layer that the backward pass recomputes, one at a time.

        Args:
          size: examples of a batch.

        Returns:
          A layer, a function of activations and of parameters that are not stacked,
          and the shape of the activations; ``None`` where all is kept.
        """
        ...

    def hand_flops(self, size: int) -> float:
        """Operations of the products of one gradient, all devices together."""
        ...


def float32(tree: Any) -> Any:
    """Shapes (tuples of sizes, in dicts) as float32 arrays by shape."""
    return jax.tree.map(
        lambda s: jax.ShapeDtypeStruct(s, jnp.float32),
        tree,
        is_leaf=lambda x: isinstance(x, tuple),
    )


def image_batch(size: int, side: int) -> dict[str, jax.ShapeDtypeStruct]:
    """Shapes of ``size`` square images of ``side`` pixels and their labels."""
    return {
        "image": jax.ShapeDtypeStruct((size, side, side, 3), jnp.float32),
        "label": jax.ShapeDtypeStruct((size,), jnp.int32),
    }
