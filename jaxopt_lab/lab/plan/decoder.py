"""Decoder-only language models as pure functions of stacked layers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec as P

from jaxopt_lab.core.typing import TrainLossFn
from jaxopt_lab.lab.plan import transformer_layer
from jaxopt_lab.lab.plan.planned_model import Layer, float32
from jaxopt_lab.training.sharding_rules import Rules


@dataclass(frozen=True)
class Decoder:
    """A decoder; see ``PlannedModel`` for its methods.

    Attributes:
      vocabulary: number of tokens.
      width: size of the residual stream.
      depth: number of layers.
      heads: attention heads.
      kv_heads: heads of keys and values.
      hidden: inner size of the feed-forward part.
      context: tokens of an example.
      gated: as in ``Layer``; where it is not, positions are learned and the output
        matrix is that of the embedding.
    """

    vocabulary: int
    width: int
    depth: int
    heads: int
    kv_heads: int
    hidden: int
    context: int
    gated: bool = True

    @property
    def layer(self) -> transformer_layer.Layer:
        """One of its layers."""
        return transformer_layer.Layer(
            self.width, self.heads, self.kv_heads, self.hidden, self.gated
        )

    @property
    def example(self) -> str:
        """See ``PlannedModel``."""
        return f"{self.context} tokens"

    def init(self) -> tuple[Any, Any]:
        """See ``PlannedModel``."""
        tree: dict[str, Any] = {
            "embedding": (self.vocabulary, self.width),
            "norm": (self.width,),
            "layers": self.layer.shapes(self.depth),
        }
        if self.gated:
            tree["head"] = (self.width, self.vocabulary)
        else:
            tree["norm_bias"] = (self.width,)
            tree["positions"] = (self.context, self.width)
        return float32(tree), {}

    def batch(self, size: int) -> dict[str, jax.ShapeDtypeStruct]:
        """Each example has one token more than the context."""
        return {"tokens": jax.ShapeDtypeStruct((size, self.context + 1), jnp.int32)}

    def rules(self) -> Rules:
        """Vocabulary, heads and feed-forward cut; norms and biases whole."""
        head = (("^head$", P(None, "model")),) if self.gated else ()
        return (("^embedding$", P("model", None)), *head, *self.layer.rules())

    def loss_fn(self, dtype: Any = jnp.bfloat16, gathered: Any = None) -> TrainLossFn:
        """Mean cross-entropy of the next token, in float32."""

        def loss(params: Any, model_state: Any, batch: Any, key: Any, /) -> Any:
            tokens = batch["tokens"]
            params = transformer_layer.held_but_layers(params, gathered)
            x = params["embedding"].astype(dtype)[tokens[:, :-1]]
            if not self.gated:
                x = x + params["positions"].astype(dtype)[None]
            there = None if gathered is None else gathered["layers"]
            x = transformer_layer.through(self.layer, x, params["layers"], there)
            x = transformer_layer.norm(x, params, "norm")
            head = params["head"] if self.gated else params["embedding"].T
            losses = _cross_entropy(x @ head.astype(dtype), tokens[:, 1:])
            return jnp.mean(losses), (model_state, {})

        return loss

    def logits(self, size: int) -> int:
        """See ``PlannedModel``."""
        return size * self.context * self.vocabulary

    def layer_of(self, size: int) -> tuple[Layer, jax.ShapeDtypeStruct] | None:
        """See ``PlannedModel``."""
        return self.layer, self.layer.activations(size, self.context)

    def hand_flops(self, size: int) -> float:
        """See ``PlannedModel``; six a weight and token for the output matrix."""
        per_token = self.depth * self.layer.flops(self.context)
        per_token += 6 * self.width * self.vocabulary
        return float(size * self.context * per_token)


@jax.checkpoint
def _cross_entropy(logits: jax.Array, targets: jax.Array) -> jax.Array:
    """In float32, of which nothing is kept: the logits in their own type are."""
    logits = logits.astype(jnp.float32)
    # By comparison, not by index: the vocabulary may be cut over devices.
    own = jax.nn.one_hot(targets, logits.shape[-1], dtype=jnp.bool_)
    target = jnp.sum(jax.lax.select(own, logits, jnp.zeros_like(logits)), -1)
    return jax.nn.logsumexp(logits, axis=-1) - target
