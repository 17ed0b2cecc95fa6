"""Auto-encoders with an adversary against batches, or with random effects of them."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import optax

from experiments.applications.mixed_effects.config import Config
from jaxopt_lab.core.functional import Functional
from jaxopt_lab.layers import (
    ghost_batch_norm,
    random_effects,
    random_effects_kl,
    reversed_gradient,
)
from jaxopt_lab.training import init_state, make_train_step


def dense(key: jax.Array, inputs: int, outputs: int) -> dict[str, jax.Array]:
    """Parameters of a dense layer."""
    kernel = jax.nn.initializers.lecun_normal()(key, (inputs, outputs))
    return {"kernel": kernel, "bias": jnp.zeros(outputs)}


def _dense(params: Any, x: jax.Array) -> jax.Array:
    return x @ params["kernel"] + params["bias"]


def auto_encoder(config: Config, *, mixed: bool) -> Functional:
    """An auto-encoder of cells, and a classifier of their batches.

    Args:
      config: the size of the application.
      mixed: with random effects of the batch behind each normalization, and a decoder
        with weights of its own; else its weights are those of the encoder.

    Returns:
      ``init(key) -> (params, state)`` and ``apply(params, state, (x, group, into), *,
      train, key=None, weight=0.0) -> ((x', latent, logits), state)``: ``group`` is the
      batch of each cell, ``into`` the batch as which it is decoded. The gradient of
      ``logits`` reaches the encoder times ``-weight``.
    """
    features, hidden, latent = config.features, config.hidden, config.latent
    norm = ghost_batch_norm(hidden, ghost_size=config.size)
    random = random_effects(hidden, groups=config.batches)

    def init(key: jax.Array) -> tuple[Any, Any]:
        keys = jax.random.split(key, 8)
        params: dict[str, Any] = {
            "encoder": dense(keys[0], features, hidden),
            "latent": dense(keys[1], hidden, latent),
            "decoder": {"bias": jnp.zeros(hidden)},
            "output": {"bias": jnp.zeros(features)},
            "adversary": dense(keys[2], latent if mixed else hidden + latent, hidden),
            "batch": dense(keys[3], hidden, config.batches),
        }
        if mixed:
            params["decoder"] = dense(keys[4], latent, hidden)
            params["output"] = dense(keys[5], hidden, features)
            for name, own in (("encoded", keys[6]), ("decoded", keys[7])):
                params[f"{name} effects"] = random.init(own)[0]
        first, state = norm.init(key)
        params |= {"encoded norm": first, "decoded norm": first}
        return params, {"encoded": state, "decoded": state}

    def apply(
        params: Any,
        state: Any,
        x: Any,
        *,
        train: bool,
        key: jax.Array | None = None,
        weight: Any = 0.0,
    ) -> Any:
        x, group, into = x
        keys = [None, None] if key is None else jax.random.split(key)
        new = {}

        def block(name: str, h: jax.Array, own: jax.Array, key: Any) -> jax.Array:
            h, new[name] = norm.apply(
                params[f"{name} norm"], state[name], h, train=train
            )
            if mixed:
                effects = params[f"{name} effects"]
                h, _ = random.apply(effects, {}, (h, own), train=train, key=key)
            return jax.nn.selu(h)

        h = block("encoded", _dense(params["encoder"], x), group, keys[0])
        z = _dense(params["latent"], h)
        if mixed:
            back, out, seen = params["decoder"], params["output"], z
        else:
            tied = lambda name, of: {
                "kernel": params[of]["kernel"].T,
                "bias": params[name]["bias"],
            }
            back, out = tied("decoder", "latent"), tied("output", "encoder")
            seen = jnp.concatenate([h, z], axis=-1)
        y = _dense(out, block("decoded", _dense(back, z), into, keys[1]))
        seen = reversed_gradient(seen, weight)
        logits = _dense(params["batch"], jax.nn.relu(_dense(params["adversary"], seen)))
        return (y, z, logits), new

    return Functional(init, apply)


def objective(config: Config, *, mixed: bool) -> Any:
    """The loss of a training step; the batch has the weight of the adversary."""
    net = auto_encoder(config, mixed=mixed)

    def loss(params: Any, state: Any, batch: Any, key: Any) -> Any:
        x, group, weight = batch
        given = (x, group, group)
        # RE: the latent shall tell the batch, so the gradient keeps its sign.
        reverse = -config.labelled if mixed else weight
        (y, _, logits), state = net.apply(
            params, state, given, train=True, key=key, weight=jnp.asarray(reverse)
        )
        entropy = optax.softmax_cross_entropy_with_integer_labels(logits, group)
        total = jnp.mean((y - x) ** 2) + jnp.mean(entropy)
        if mixed:
            total = total + config.divergence * random_effects_kl(params)
        return total, (state, {})

    return loss


@functools.cache
def trainer(config: Config, *, mixed: bool) -> Any:
    """``train(key, x, group, weight) -> (params, state)``, for several seeds at once.

    Args:
      config: the size of the application.
      mixed: as of ``auto_encoder``.

    Returns:
      A function of arrays with a leading axis of seeds, but for ``weight``.
    """
    rate = optax.cosine_decay_schedule(config.rate, config.steps)
    tx = optax.flatten(optax.chain(optax.clip_by_global_norm(1.0), optax.adam(rate)))
    step = make_train_step(objective(config, mixed=mixed), tx)
    net = auto_encoder(config, mixed=mixed)

    def train(key: jax.Array, x: Any, group: Any, weight: Any) -> Any:
        first, draw, own = jax.random.split(key, 3)
        params, model_state = net.init(first)
        state = init_state(tx, params, own, model_state=model_state)

        def one(state: Any, key: jax.Array) -> Any:
            at = jax.random.randint(key, (config.size,), 0, len(x))
            return step(state, (x[at], group[at], weight))[0], None

        keys = jax.random.split(draw, config.steps)
        state, _ = jax.lax.scan(one, state, keys)
        return state.params, state.model_state

    return jax.jit(jax.vmap(train, in_axes=(0, 0, 0, None)))


@functools.cache
def reader(config: Config, *, mixed: bool) -> Any:
    """``read((params, state), x, group, into) -> (x', latent)`` in evaluation.

    Args:
      config: the size of the application.
      mixed: as of ``auto_encoder``.

    Returns:
      A function of arrays with a leading axis of seeds.
    """
    net = auto_encoder(config, mixed=mixed)

    def read(fitted: Any, x: Any, group: Any, into: Any) -> Any:
        return net.apply(*fitted, (x, group, into), train=False)[0][:2]

    return jax.jit(jax.vmap(read))
