"""Encoder, residual codes, and a decoder with prompts of the voice."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from experiments.applications.fitting import he_normal
from experiments.applications.speech_codec.config import BANDS, STRIDE, Config
from jaxopt_lab.core.functional import Functional
from jaxopt_lab.layers import residual_vector_quantizer


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


def codec(config: Config, stages: int) -> Functional:
    """A codec of mel spectrograms.

    Args:
      config: the size of the application.
      stages: of the residual codes.

    Returns:
      ``init(key) -> (params, state)``, outside of ``jit``, and ``apply(params, state,
      (x, reference, vector, arm), *, train) -> (Coded, state)``: ``reference`` is
      another utterance of the voice, ``vector`` its speaker vector.
    """
    width, latent = config.width, config.latent
    quantizer = residual_vector_quantizer(
        latent,
        stages=stages,
        size=config.codes,
        groups=config.groups,
        kernel_init=he_normal,
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
        half = np.float32(0.5**0.5)
        zeros = lambda shape: np.zeros(shape[1], np.float32)
        params: dict[str, Any] = {
            name: {"kernel": half * he_normal(k, shape, "f4"), "bias": zeros(shape)}
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


def _strided(params: Any, x: jax.Array, names: tuple[str, str]) -> jax.Array:
    h = jax.nn.relu(convolution(params[names[0]], x, 2))
    return convolution(params[names[1]], h, 2)


def _dense(params: Any, x: jax.Array) -> jax.Array:
    return x @ params["kernel"] + params["bias"]


def _normalized(x: jax.Array) -> jax.Array:
    """Each vector with mean 0 and deviation 1, as the first codes are."""
    x = x - jnp.mean(x, axis=-1, keepdims=True)
    return x * jax.lax.rsqrt(jnp.mean(x * x, axis=-1, keepdims=True) + 1e-5)
