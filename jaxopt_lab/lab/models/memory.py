"""The parts of a transformer's block, by what they keep for the backward pass."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
from flax import nnx

from jaxopt_lab.core.errors import InputError, unknown
from jaxopt_lab.lab.models.activations import Activation
from jaxopt_lab.lab.models.cached import of_heads
from jaxopt_lab.lab.models.configs import MemoryName
from jaxopt_lab.lab.models.layers import DTypes
from jaxopt_lab.lab.models.norms import Norm
from jaxopt_lab.layers.attention.softmax_attention import softmax_attention
from jaxopt_lab.layers.memory_saving.modules import (
    MesaAttention,
    MesaDense,
    MesaGelu,
    MesaLayerNorm,
    WtaCrsDense,
)

MEMORY: tuple[MemoryName, ...] = ("all", "mesa", "wta_crs", "checkpoint")
_DRAWING = (MesaAttention, MesaDense, MesaGelu, MesaLayerNorm, WtaCrsDense)


@dataclasses.dataclass(frozen=True)
class Attention:
    """Attention of queries, keys and values side by side, by jax."""

    heads: int
    causal: bool = True

    def __call__(self, x: jax.Array) -> jax.Array:
        """Attention over ``(B, T, 3 * width)``; its softmax is float32 or float64."""
        y = softmax_attention(*of_heads(x, self.heads), causal=self.causal)
        return y.reshape(*y.shape[:2], -1)


class BlockParts:
    """Makes the parts of a block.

    Args:
      memory: kept for the backward pass.
      ratio: part of the rows that ``"wta_crs"`` keeps.
      types: of computation and parameters.
      rngs: random streams.
    """

    def __init__(
        self, memory: MemoryName, ratio: float, types: DTypes, rngs: nnx.Rngs
    ) -> None:
        self.memory, self.ratio, self.types, self.rngs = memory, ratio, types, rngs

    def norm(self, norm: Norm | None, size: int, index: int) -> Any:
        """A normalization of one block; ``None``: layer normalization."""
        if norm is not None:
            return norm(size, index=index, types=self.types, rngs=self.rngs)
        if self.memory == "mesa":
            wide = self.types["param_dtype"]
            return MesaLayerNorm(
                size, param_dtype=wide, state_dtype=wide, rngs=self.rngs
            )
        return nnx.LayerNorm(size, rngs=self.rngs, **self.types)

    def dense(self, size: int, out: int, scale: float) -> Any:
        """A dense layer with normal weights of this standard deviation."""
        init: Any = nnx.initializers.normal(scale)
        wide = self.types["param_dtype"]
        given: dict[str, Any] = {
            "out": out,
            "kernel_init": init,
            "param_dtype": wide,
            "rngs": self.rngs,
        }
        if self.memory == "mesa":
            return MesaDense(size, state_dtype=wide, **given)
        if self.memory == "wta_crs":
            return WtaCrsDense(size, ratio=self.ratio, **given)
        return nnx.Linear(size, out, kernel_init=init, rngs=self.rngs, **self.types)

    def attention(self, size: int, heads: int, causal: bool) -> Callable[..., Any]:
        """Attention of queries, keys and values side by side."""
        if self.memory == "mesa":
            wide = self.types["param_dtype"]
            given: Any = {"heads": heads, "causal": causal, "state_dtype": wide}
            return MesaAttention(size, rngs=self.rngs, **given)
        return Attention(heads, causal)

    def activation(self, activation: Activation, size: int) -> Callable[..., Any]:
        """The activation of the perceptron; of ``"mesa"`` GELU by tanh."""
        if self.memory == "mesa":
            wide = self.types["param_dtype"]
            return MesaGelu(size, state_dtype=wide, rngs=self.rngs)
        return activation(size, types=self.types, rngs=self.rngs)


def call(layer: Callable[..., Any], x: jax.Array, rngs: nnx.Rngs | None) -> jax.Array:
    """A part of a block; those that draw numbers get the streams.

    Args:
      layer: the part.
      x: its input.
      rngs: random streams of the call, or ``None``.

    Returns:
      Its output.
    """
    return layer(x, rngs=rngs) if isinstance(layer, _DRAWING) else layer(x)


def check_memory(model: str, memory: str, ratio: float) -> None:
    """Refuse an unknown name and a part of the rows outside of (0, 1].

    Args:
      model: name of the model, for the message.
      memory: kept for the backward pass.
      ratio: part of the rows.

    Raises:
      InputError: one of them is not accepted.
    """
    if memory not in MEMORY:
        raise unknown("memory", memory, MEMORY)
    if not 0 < ratio <= 1:
        raise InputError(f"{model}: memory_ratio must lie in (0, 1]; got {ratio}")
