"""A symbol that an LSTM remembers, trained on windows of its steps."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments.studies.decoupled_training.config import Config
from experiments.studies.dense_nets import dense, dense_params
from experiments.studies.programs import over_seeds
from jaxopt_lab.layers import synthetic_gradient
from jaxopt_lab.recipes import regression_loss, window_gradients

TRUNCATED, SYNTHETIC = "truncated", "synthetic"


def losses(config: Config, window: int) -> dict[str, np.ndarray]:
    """Losses at the end without and with synthetic gradients.

    Args:
      config: the size of the study.
      window: steps of a window; the whole length is full backpropagation.

    Returns:
      ``"truncated"`` and ``"synthetic"``, ``(seeds,)``, means over the last tenth of
      the batches.
    """

    def run(key: jax.Array, uses: jax.Array) -> jax.Array:
        return jax.lax.map(lambda use: _run(key, use, window, config), uses)

    found = over_seeds(run, config, jnp.array([0.0, 1.0]), loop=True)
    return dict(zip((TRUNCATED, SYNTHETIC), found.T, strict=True))


def lstm(params: Any, state: jax.Array, x: jax.Array) -> jax.Array:
    """One step.

    Args:
      params: ``"cell"``, a kernel and a bias.
      state: output and memory side by side, ``(B, 2 units)``.
      x: ``(B, inputs)``.

    Returns:
      The next state.
    """
    h, c = jnp.split(state, 2, axis=-1)
    gates = dense(params["cell"], jnp.concatenate([x, h], axis=-1))
    take, keep, give, new = jnp.split(gates, 4, axis=-1)
    # One more: the memory lasts in the beginning.
    c = jax.nn.sigmoid(keep + 1) * c + jax.nn.sigmoid(take) * jnp.tanh(new)
    return jnp.concatenate([jax.nn.sigmoid(give) * jnp.tanh(c), c], axis=-1)


def _run(key: jax.Array, use: jax.Array, window: int, config: Config) -> jax.Array:
    one, two, three, draw = jax.random.split(key, 4)
    units, symbols, count = config.units, config.symbols, 32
    layer = synthetic_gradient(2 * units, hidden=config.hidden)
    params = {
        "cell": dense_params(one, symbols + units, 4 * units),
        "head": dense_params(two, units, symbols),
    }
    predictor = layer.init(three)[0]
    tx, own = optax.adam(config.rate), optax.adam(config.predictor_rate)
    parts = config.length // window
    say = lambda p, state: use * layer.apply(p, {}, state, train=True)[0]

    def of_window(carry: Any, part: jax.Array) -> Any:
        (params, opt), (predictor, other), state, symbol = carry
        last = part == parts - 1
        hot = jax.nn.one_hot(symbol, symbols)

        def window_fn(params: Any, state: jax.Array) -> Any:
            for i in range(window):
                first = (part == 0) & (i == 0)
                state = lstm(params, state, jnp.where(first, hot, 0))
            scores = dense(params["head"], state[:, :units])
            each = optax.softmax_cross_entropy_with_integer_labels(scores, symbol)
            return jnp.where(last, each, 0), state

        live = jnp.full(count, ~last)
        found = window_gradients(
            window_fn, params, state, lambda s: say(predictor, s), live=live
        )
        wrong = lambda p: regression_loss(say(p, state), found.target)
        slopes = jax.grad(wrong)(predictor)
        moves, opt = tx.update(found.grads, opt, params)
        params = optax.apply_updates(params, moves)
        moves, other = own.update(slopes, other, predictor)
        predictor = optax.apply_updates(predictor, moves)
        after = (params, opt), (predictor, other), found.state, symbol
        return after, found.loss

    def of_sequence(carry: Any, key: jax.Array) -> Any:
        symbol = jax.random.randint(key, (count,), 0, symbols)
        start = (*carry, jnp.zeros((count, 2 * units)), symbol)
        after, found = jax.lax.scan(of_window, start, jnp.arange(parts))
        return after[:2], found[-1]

    start = (params, tx.init(params)), (predictor, own.init(predictor))
    keys = jax.random.split(draw, config.sequences)
    _, found = jax.lax.scan(of_sequence, start, keys)
    return jnp.mean(found[-max(config.sequences // 10, 1) :])
