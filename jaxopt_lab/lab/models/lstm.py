"""An LSTM language model."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import nnx

from jaxopt_lab.lab.models import checks
from jaxopt_lab.lab.models.configs import LSTMConfig
from jaxopt_lab.lab.models.layers import Dropout, dtypes


class LSTMLayer(nnx.Module):
    """One layer: ``(B, T, width)`` to ``(B, T, width)``, from a zero state.

    The four gates share one matrix for the input, applied to all times at once
    outside the scan, and one for the state, with orthogonal blocks.
    """

    def __init__(self, config: LSTMConfig, rngs: nnx.Rngs) -> None:
        types, width = dtypes(config.dtype), config.width
        self.inputs = nnx.Linear(width, 4 * width, rngs=rngs, **types)
        self.state = nnx.Linear(
            width,
            4 * width,
            use_bias=False,
            kernel_init=nnx.initializers.orthogonal(),
            rngs=rngs,
            **types,
        )

    def __call__(self, x: jax.Array) -> jax.Array:
        from_inputs = self.inputs(x)
        zeros = jnp.zeros((x.shape[0], x.shape[2]), from_inputs.dtype)

        def step(
            carry: tuple[jax.Array, jax.Array], gates: jax.Array
        ) -> tuple[tuple[jax.Array, jax.Array], jax.Array]:
            cell, hidden = carry
            i, f, g, o = jnp.split(gates + self.state(hidden), 4, axis=-1)
            # + 1: a gate that starts open keeps gradients alive over long spans.
            cell = jax.nn.sigmoid(f + 1) * cell + jax.nn.sigmoid(i) * jnp.tanh(g)
            hidden = jax.nn.sigmoid(o) * jnp.tanh(cell)
            return (cell, hidden), hidden

        _, hidden = jax.lax.scan(step, (zeros, zeros), from_inputs.swapaxes(0, 1))
        return hidden.swapaxes(0, 1)


class LSTM(nnx.Module):
    """Embedding, layers, output."""

    def __init__(self, config: LSTMConfig, num_tokens: int, rngs: nnx.Rngs) -> None:
        types = dtypes(config.dtype)
        self.tokens = nnx.Embed(num_tokens, config.width, rngs=rngs, **types)
        self.layers = nnx.List(LSTMLayer(config, rngs) for _ in range(config.depth))
        self.dropout = Dropout(config.dropout)
        self.head = nnx.Linear(config.width, num_tokens, rngs=rngs, **types)

    def __call__(self, tokens: jax.Array, *, rngs: nnx.Rngs | None = None) -> jax.Array:
        checks.is_tokens("lstm", tokens)
        x = self.tokens(tokens)
        for layer in self.layers:
            x = layer(self.dropout(x, rngs))
        return self.head(self.dropout(x, rngs))


def build(
    config: LSTMConfig, input_shape: tuple[int, ...], num_classes: int
) -> Callable[[nnx.Rngs], LSTM]:
    """See ``Model.build``."""
    checks.context_length("lstm", input_shape)
    checks.at_least("lstm", 1, width=config.width, depth=config.depth)
    checks.check_dropout("lstm", config.dropout)
    return lambda rngs: LSTM(config, num_classes, rngs)
