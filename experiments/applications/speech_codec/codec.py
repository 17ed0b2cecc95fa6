"""Encoder, residual codes, and a decoder with prompts of the voice."""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from experiments.applications.speech_codec.config import BANDS, STRIDE, Config
from jaxopt_lab.core.functional import Functional
from jaxopt_lab.layers import (
    quantization_penalty,
    residual_vector_quantize,
    residual_vector_quantizer,
)
from jaxopt_lab.losses import ssim
from jaxopt_lab.training import init_state, make_train_step


class Arm(NamedTuple):
    """The prompts of a codec, numbers that may be traced.

    Attributes:
      speaker: 1, or 0 without the speaker vector.
      mel: 1, or 0 without the prompt from the mel spectrogram.
      similarity: weight of the structural similarity of codes and prompt.
    """

    speaker: Any
    mel: Any
    similarity: Any


class Coded(NamedTuple):
    """Outputs of a codec.

    Attributes:
      y: ``(B, T, bands)``.
      codes: ``(B, T / stride, latent)``, the quantized latents.
      prompt: likewise, of the reference, before its mean over time.
    """

    y: jax.Array
    codes: jax.Array
    prompt: jax.Array


def convolution(params: Any, x: jax.Array, stride: int = 1) -> jax.Array:
    """Three taps over time, as one product with three slices.

    Args:
      params: ``{"kernel": (3 inputs, outputs), "bias"}``.
      x: ``(B, T, inputs)``, T a multiple of the stride.
      stride: frames between two outputs.

    Returns:
      ``(B, T / stride, outputs)``, zeros beyond both ends.
    """
    wide = jnp.pad(x, ((0, 0), (1, 1), (0, 0)))
    taps = [wide[:, i : i + x.shape[1] : stride] for i in range(3)]
    return _dense(params, jnp.concatenate(taps, axis=-1))


def first_codes(key: jax.Array, z: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """Tables of residuals of latents: else the shortest code is the nearest of all.

    Args:
      key: draws the latents.
      z: ``(n, latent)``.
      shape: ``(groups, stages, codes, latent / groups)``.

    Returns:
      The tables.
    """
    tables = jnp.zeros(shape)
    for i, own in enumerate(jax.random.split(key, shape[1])):
        rest = z
        if i:
            rest = z - residual_vector_quantize(z, tables[:, :i]).out
        rows = rest.reshape(len(z), shape[0], -1).swapaxes(0, 1)
        # With replacement: a permutation is a sort, which XLA compiles for long.
        chosen = jax.random.randint(own, (shape[2],), 0, len(z))
        tables = tables.at[:, i].set(rows[:, chosen])
    return jax.lax.stop_gradient(tables)


def codec(config: Config, stages: int) -> Functional:
    """A codec of mel spectrograms.

    Args:
      config: the size of the application.
      stages: of the residual codes.

    Returns:
      ``init(key) -> (params, state)`` and ``apply(params, state, (x, reference, vector,
      arm), *, train) -> (Coded, state)``: ``reference`` is another utterance of the
      voice, ``vector`` its speaker vector.
    """
    width, latent = config.width, config.latent
    quantizer = residual_vector_quantizer(
        latent, stages=stages, size=config.codes, groups=config.groups
    )
    sizes = {
        "first": (3 * BANDS, width),
        "second": (3 * width, width),
        "latent": (width, latent),
        "prompt first": (3 * BANDS, width),
        "prompt second": (3 * width, latent),
        "speaker": (config.speakers - 1, latent),
        "gate": (config.speakers - 1 + latent, 2),
        "up": (3 * latent, STRIDE * width),
        "told": (latent, STRIDE * width),
        "smooth": (3 * width, width),
        "output": (3 * width, BANDS),
    }

    def init(key: jax.Array) -> tuple[Any, Any]:
        *keys, last = jax.random.split(key, len(sizes) + 1)
        draw = jax.nn.initializers.lecun_normal()
        params: dict[str, Any] = {
            name: {"kernel": draw(k, shape), "bias": jnp.zeros(shape[1])}
            for k, (name, shape) in zip(keys, sizes.items(), strict=True)
        }
        params["codes"], state = quantizer.init(last)
        return params, {"codes": state}

    def apply(
        params: Any, state: Any, x: Any, *, train: bool, key: jax.Array | None = None
    ) -> tuple[Coded, Any]:
        x, reference, vector, arm = x

        z = latents(params, x)
        codes, kept = quantizer.apply(params["codes"], state["codes"], z, train=train)
        prompt = _strided(params, reference, ("prompt first", "prompt second"))
        prompt = _normalized(prompt)
        heard = arm.mel * jnp.mean(prompt, axis=1)
        vector = arm.speaker * vector
        seen = jnp.concatenate([vector, heard], axis=-1)
        share = jax.nn.softmax(_dense(params["gate"], seen))
        known = arm.speaker * _dense(params["speaker"], vector)
        told = share[:, :1] * known + share[:, 1:] * heard
        up = convolution(params["up"], codes) + _dense(params["told"], told)[:, None]
        up = jax.nn.relu(up).reshape(len(x), -1, width)
        y = jax.nn.relu(convolution(params["smooth"], up))
        out = Coded(convolution(params["output"], y), codes, prompt)
        return out, {"codes": kept}

    return Functional(init, apply)


def latents(params: Any, x: jax.Array) -> jax.Array:
    """``(B, T / stride, latent)``, what is quantized of ``x``, ``(B, T, bands)``."""
    h = jax.nn.relu(_strided(params, x, ("first", "second")))
    return _normalized(_dense(params["latent"], h))


@functools.cache
def trainer(config: Config, stages: int) -> Any:
    """``train(key, x, vectors, arm) -> (error, codes)`` of a voice's utterances.

    Args:
      config: the size of the application.
      stages: of the residual codes.

    Returns:
      A jitted function of arrays with a leading axis of runs; ``x`` is ``(voices,
      utterances, length, bands)``. The error is that of the test utterances; the
      prompt of each is the utterance before it.
    """
    net = codec(config, stages)
    tx = optax.chain(
        optax.clip_by_global_norm(1.0),
        optax.adam(optax.cosine_decay_schedule(config.rate, config.steps)),
    )

    def loss(params: Any, state: Any, batch: Any, key: Any) -> Any:
        out, state = net.apply(params, state, batch, train=True)
        alike = ssim(out.codes, out.prompt, window=7, data_range=4.0)
        total = jnp.mean((out.y - batch[0]) ** 2) + quantization_penalty(state)
        return total + batch[3].similarity * jnp.mean(alike), (state, {})

    step = make_train_step(loss, tx)

    def train(key: jax.Array, x: Any, vectors: Any, arm: Arm) -> Any:
        first, draw, own, codes = jax.random.split(key, 4)
        params, model_state = net.init(first)
        few = x[:, : config.train // 2].reshape(-1, *x.shape[2:])
        shape = params["codes"]["codebooks"].shape
        shape = shape if len(shape) == 4 else (1, *shape)
        tables = first_codes(
            codes, latents(params, few).reshape(-1, config.latent), shape
        )
        tables = tables.reshape(params["codes"]["codebooks"].shape)
        params = {**params, "codes": {"codebooks": tables}}
        state = init_state(tx, params, own, model_state=model_state)

        def one(state: Any, key: jax.Array) -> Any:
            keys, shape = jax.random.split(key, 3), (config.size,)
            voice = jax.random.randint(keys[0], shape, 0, config.speakers)
            said = jax.random.randint(keys[1], shape, 0, config.train)
            other = 1 + jax.random.randint(keys[2], shape, 0, config.train - 1)
            other = (said + other) % config.train
            batch = (x[voice, said], x[voice, other], vectors[voice, other], arm)
            return step(state, batch)[0], None

        keys = jax.random.split(draw, config.steps)
        state, _ = jax.lax.scan(one, state, keys)
        flat = lambda a: a.reshape(-1, *a.shape[2:])
        given = (flat(x), flat(jnp.roll(x, 1, 1)), flat(jnp.roll(vectors, 1, 1)), arm)
        out, _ = net.apply(state.params, state.model_state, given, train=False)
        y = out.y.reshape(x.shape)[:, config.train :]
        codes = out.codes.reshape(*x.shape[:2], *out.codes.shape[1:])
        return jnp.mean((y - x[:, config.train :]) ** 2), codes

    # Optimized, twenty small networks compile for three times as long as they train.
    options = {"xla_backend_optimization_level": 0}
    return jax.jit(jax.vmap(train), compiler_options=options)


def _strided(params: Any, x: jax.Array, names: tuple[str, str]) -> jax.Array:
    h = jax.nn.relu(convolution(params[names[0]], x, 2))
    return convolution(params[names[1]], h, 2)


def _dense(params: Any, x: jax.Array) -> jax.Array:
    return x @ params["kernel"] + params["bias"]


def _normalized(x: jax.Array) -> jax.Array:
    """Each vector with mean 0 and deviation 1, as the first codes are."""
    x = x - jnp.mean(x, axis=-1, keepdims=True)
    return x * jax.lax.rsqrt(jnp.mean(x * x, axis=-1, keepdims=True) + 1e-5)
