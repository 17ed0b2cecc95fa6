"""A classifier of frames, and its outputs over time."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments.applications.workflow_phases.config import MODES, Config
from experiments.applications.workflow_phases.frames import Frames
from jaxopt_lab.inference import (
    fit_hidden_markov,
    forward_backward,
    scaled_likelihoods,
    viterbi,
)
from jaxopt_lab.training import init_state, make_train_step

_AT = np.arange(64).reshape(8, 8)
PATCHES = np.stack(
    [_AT[i : i + 3, j : j + 3].ravel() for i in range(6) for j in range(6)]
)


def running_mean(p: Any, width: int, *, centred: bool, where: Any) -> jax.Array:
    """The mean of the probabilities over a window of frames.

    Args:
      p: ``(..., T, S)``.
      width: frames of the window, odd where ``centred``.
      centred: the window is about the frame, else it ends with it.
      where: ``(..., T)``, false for padding behind an operation.

    Returns:
      As ``p``; a window at an end is shorter.
    """
    behind = width // 2 if centred else 0
    count = p.shape[-2]
    edge = ((width - 1 - behind, behind), (0, 0))

    def summed(x: jax.Array) -> jax.Array:
        wide = jnp.pad(x, ((0, 0),) * (x.ndim - 2) + edge)
        return sum(
            (wide[..., i : i + count, :] for i in range(1, width)), wide[..., :count, :]
        )

    kept = jnp.asarray(where)[..., None].astype(p.dtype)
    return summed(p * kept) / jnp.maximum(summed(kept), 1)


def first(key: jax.Array, phases: int) -> Any:
    """Parameters of a convolution of 16 features and two dense layers."""
    sizes = {"conv": (9, 16), "hidden": (16 * len(PATCHES), 32), "head": (32, phases)}
    keys = jax.random.split(key, len(sizes))
    draw = jax.nn.initializers.he_normal()
    return {
        name: {"kernel": draw(k, shape), "bias": jnp.zeros(shape[1])}
        for k, (name, shape) in zip(keys, sizes.items(), strict=True)
    }


def log_probabilities(params: Any, images: jax.Array) -> jax.Array:
    """Those of the phases for each image ``(..., 64)``."""
    dense = lambda name, x: x @ params[name]["kernel"] + params[name]["bias"]
    x = jax.nn.relu(dense("conv", images[..., PATCHES]))
    x = jax.nn.relu(dense("hidden", x.reshape(*images.shape[:-1], -1)))
    return jax.nn.log_softmax(dense("head", x))


def trained(config: Config, data: Frames, seed: int) -> Any:
    """Parameters of the classifier after its steps."""
    x, y = data.images[data.where], data.phases[data.where]
    rng = np.random.default_rng(seed)
    order = rng.integers(len(x), size=(config.steps, config.batch))
    run = _trainer(config.phases, config.rate)
    return run(jax.random.key(seed), jnp.asarray(x[order]), jnp.asarray(y[order]))


@functools.cache
def _trainer(phases: int, rate: float) -> Any:
    tx = optax.adam(rate)

    def loss(params: Any, state: Any, batch: Any, key: Any) -> Any:
        found = log_probabilities(params, batch[0])
        return -jnp.mean(jnp.take_along_axis(found, batch[1][:, None], 1)), (state, {})

    step = make_train_step(loss, tx)

    @jax.jit
    def run(key: jax.Array, images: jax.Array, labels: jax.Array) -> Any:
        state = init_state(tx, first(key, phases), key)
        return jax.lax.scan(step, state, (images, labels))[0].params

    return run


def decoded(config: Config, params: Any, train: Frames, test: Frames) -> dict[str, Any]:
    """Phases of the frames by every method, online and offline."""
    chain = fit_hidden_markov(
        {"targets": train.phases, "frames": train.where.astype(np.float32)},
        states=config.phases,
    )
    given = (jnp.asarray(test.images), jnp.asarray(test.where))
    found = _decode(params, chain, *given, window=config.window)
    return {name: np.asarray(x) for name, x in found.items()}


@functools.partial(jax.jit, static_argnames="window")
def _decode(
    params: Any, chain: Any, images: jax.Array, where: jax.Array, *, window: int
) -> dict[str, jax.Array]:
    log_p = log_probabilities(params, images)
    found = {}
    for mode in MODES:
        centred = mode == "offline"
        mean = running_mean(jnp.exp(log_p), window, centred=centred, where=where)
        inputs = {"": log_p, "mean + ": jnp.log(jnp.maximum(mean, 1e-30))}
        found[f"frame {mode}"] = jnp.argmax(log_p, -1)
        found[f"mean {mode}"] = jnp.argmax(mean, -1)
        for name, x in inputs.items():
            scores = scaled_likelihoods(chain, x)
            given = (chain.log_start, chain.log_transition, scores)
            if centred:
                phases = viterbi(*given, where=where).states
            else:
                filtered = forward_backward(*given, where=where).filtered
                phases = jnp.argmax(filtered, -1)
            found[f"{name}HMM {mode}"] = phases
    return found
