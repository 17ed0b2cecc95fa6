"""Vision transformers as pure functions of stacked layers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from jaxopt_lab.core.typing import TrainLossFn
from jaxopt_lab.lab.plan import transformer_layer
from jaxopt_lab.lab.plan.planned_model import Layer, float32, image_batch
from jaxopt_lab.losses import classification as losses
from jaxopt_lab.training.sharding_rules import Rules


@dataclass(frozen=True)
class VisionTransformer:
    """A classifier of images cut into patches; see ``PlannedModel`` for its methods.

    The first token is a learned one, from which the classes are read.

    Attributes:
      width: size of the residual stream.
      depth: number of layers.
      heads: attention heads.
      hidden: inner size of the feed-forward part.
      patch: side of a patch in pixels.
      side: side of an image in pixels.
      classes: number of classes.
    """

    width: int
    depth: int
    heads: int
    hidden: int
    patch: int
    side: int
    classes: int

    @property
    def layer(self) -> transformer_layer.Layer:
        """One of its layers."""
        return transformer_layer.Layer(
            self.width, self.heads, self.heads, self.hidden, gated=False, causal=False
        )

    @property
    def patches(self) -> int:
        """Patches of an image."""
        return (self.side // self.patch) ** 2

    @property
    def example(self) -> str:
        """See ``PlannedModel``."""
        return f"{self.side} x {self.side} pixels"

    def init(self) -> tuple[Any, Any]:
        """See ``PlannedModel``."""
        width = self.width
        return float32(
            {
                "patches": (self.patch**2 * 3, width),
                "patches_bias": (width,),
                "token": (width,),
                "positions": (self.patches + 1, width),
                "layers": self.layer.shapes(self.depth),
                "norm": (width,),
                "norm_bias": (width,),
                "head": (width, self.classes),
                "head_bias": (self.classes,),
            }
        ), {}

    def batch(self, size: int) -> dict[str, jax.ShapeDtypeStruct]:
        """See ``PlannedModel``."""
        return image_batch(size, self.side)

    def rules(self) -> Rules:
        """Heads and feed-forward cut; all else whole."""
        return self.layer.rules()

    def loss_fn(self, dtype: Any = jnp.bfloat16, gathered: Any = None) -> TrainLossFn:
        """Mean cross-entropy of the classes, in float32."""
        rows, patch = self.side // self.patch, self.patch

        def loss(params: Any, model_state: Any, batch: Any, key: Any, /) -> Any:
            params = transformer_layer.held_but_layers(params, gathered)
            image = batch["image"].astype(dtype)
            # A product for each patch: the convolution whose stride is its size.
            x = image.reshape(-1, rows, patch, rows, patch, 3)
            x = jnp.swapaxes(x, 2, 3).reshape(-1, rows * rows, patch * patch * 3)
            x = transformer_layer.product(x, params, "patches")
            first = transformer_layer.row(params["token"], dtype)
            first = jnp.broadcast_to(first, (x.shape[0], 1, self.width))
            x = jnp.concatenate([first, x], axis=1)
            x = x + params["positions"].astype(dtype)[None]
            there = None if gathered is None else gathered["layers"]
            x = transformer_layer.through(self.layer, x, params["layers"], there)
            x = transformer_layer.norm(x[:, :1], params, "norm")
            logits = transformer_layer.product(x, params, "head")[:, 0]
            found = losses.cross_entropy(logits, batch["label"])
            return jnp.mean(found), (model_state, {})

        return loss

    def logits(self, size: int) -> int:
        """See ``PlannedModel``."""
        return size * self.classes

    def layer_of(self, size: int) -> tuple[Layer, jax.ShapeDtypeStruct] | None:
        """See ``PlannedModel``."""
        return self.layer, self.layer.activations(size, self.patches + 1)

    def hand_flops(self, size: int) -> float:
        """See ``PlannedModel``; nobody needs the gradient of the image."""
        tokens = self.patches + 1
        layer = self.depth * tokens * self.layer.flops(tokens)
        patches = 4 * self.patches * self.patch**2 * 3 * self.width
        return float(size * (layer + patches + 6 * self.width * self.classes))
