"""A tiny DETR over the patches of an image, with two-way attention to embeddings.

There is no convolution: a patch is a token. The queries of the decoder are the tokens
that most likely hold the centre of an object.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from experiments.applications.canvases import CLASSES
from experiments.applications.fitting import he_normal
from jaxopt_lab.core.functional import Functional
from jaxopt_lab.layers import softmax_attention, two_way_attention

SIZE, PATCH = 48, 8
GRID = SIZE // PATCH
TOKENS = GRID * GRID
NOTHING = CLASSES


class Shape(NamedTuple):
    """Sizes of the detector.

    Attributes:
      width: of all tokens, and of the embeddings of objects.
      depth: layers of the encoder, of the decoder and of mutual enhancement.
      heads: of attention.
      hidden: units of the perceptrons.
      queries: of the decoder.
    """

    width: int = 32
    depth: int = 2
    heads: int = 4
    hidden: int = 64
    queries: int = 8


class Found(NamedTuple):
    """Output of the decoder for a batch.

    Attributes:
      logits: of the classes and of nothing, ``(B, queries, 1 + classes)``.
      boxes: centre row, centre column and side in sides of the image,
        ``(B, queries, 3)``.
      embeddings: to be aligned, ``(B, queries, width)``.
      objectness: logits of the tokens, ``(B, tokens)``.
    """

    logits: jax.Array
    boxes: jax.Array
    embeddings: jax.Array
    objectness: jax.Array


def patches(images: np.ndarray) -> np.ndarray:
    """Tokens of images.

    Args:
      images: ``(n, 48, 48)``.

    Returns:
      ``(n, tokens, pixels)``, row by row of the image.

    >>> patches(np.zeros((2, 48, 48))).shape
    (2, 36, 64)
    """
    parts = images.reshape(len(images), GRID, PATCH, GRID, PATCH)
    return parts.transpose(0, 1, 3, 2, 4).reshape(len(images), TOKENS, PATCH * PATCH)


def _kernel(key: jax.Array, shape: Any, dtype: Any) -> jax.Array:
    return he_normal(key, shape, dtype) * np.float32(0.5**0.5)


def _mutual(shape: Shape, depth: int) -> Functional:
    return two_way_attention(
        shape.width,
        depth=depth,
        heads=shape.heads,
        hidden=shape.hidden,
        kernel_init=_kernel,
    )


def class_head(draw: np.random.Generator, shape: Shape) -> dict[str, np.ndarray]:
    """The first parameters of the layer that tells the class.

    Args:
      draw: generator.
      shape: of the detector.

    Returns:
      Kernel and bias.
    """
    kernel = draw.normal(0, shape.width**-0.5, (shape.width, CLASSES + 1))
    return {"kernel": kernel.astype(np.float32), "bias": np.zeros(11, np.float32)}


def init(seed: int, shape: Shape) -> dict[str, Any]:
    """The first parameters of a seed, drawn by NumPy.

    Args:
      seed: of all draws.
      shape: of the detector.

    Returns:
      Parameters.
    """
    draw, width = np.random.default_rng([seed, 3]), shape.width

    def matrix(inputs: int, outputs: int, scale: float = 1.0) -> np.ndarray:
        drawn = draw.normal(0, scale / np.sqrt(inputs), (inputs, outputs))
        return drawn.astype(np.float32)

    keys = jax.random.split(jax.random.key(seed), shape.depth + 1)
    encoder = [
        {
            "qkv": matrix(width, 3 * width),
            "out": matrix(width, width, 0.5),
            "up": matrix(width, shape.hidden),
            "down": matrix(shape.hidden, width, 0.5),
        }
        for _ in range(shape.depth)
    ]
    one = _mutual(shape, 1)
    return {
        "patch": matrix(PATCH * PATCH, width),
        "rows": draw.normal(0, 0.5, (GRID, 1, width)).astype(np.float32),
        "columns": draw.normal(0, 0.5, (1, GRID, width)).astype(np.float32),
        "encoder": encoder,
        "objectness": {"kernel": matrix(width, 1), "bias": np.float32(-2.0)},
        "decoder": [one.init(key)[0] for key in keys[1:]],
        "box": matrix(width, 3, 0.1),
        "class": class_head(draw, shape),
        "align": matrix(width, width),
        "objects": matrix(width, width),
        "mutual": _mutual(shape, shape.depth).init(keys[0])[0],
    }


def encode(params: Any, tokens: jax.Array, shape: Shape) -> jax.Array:
    """The memory: tokens that have attended to each other.

    Args:
      params: of ``init``.
      tokens: ``(B, tokens, pixels)``.
      shape: of the detector.

    Returns:
      ``(B, tokens, width)``.
    """
    places = (params["rows"] + params["columns"]).reshape(TOKENS, -1)
    x = tokens @ params["patch"] + places
    for layer in params["encoder"]:
        parts = jnp.split(_norm(x) @ layer["qkv"], 3, axis=-1)
        q, k, v = (y.reshape(*y.shape[:2], shape.heads, -1) for y in parts)
        x = x + softmax_attention(q, k, v).reshape(x.shape) @ layer["out"]
        x = x + jax.nn.relu(_norm(x) @ layer["up"]) @ layer["down"]
    return _norm(x)


def enhance(
    params: Any, objects: jax.Array, here: jax.Array, memory: jax.Array, shape: Shape
) -> tuple[jax.Array, jax.Array]:
    """Mutual enhancement of the embeddings of objects and of the memory.

    Args:
      params: of ``init``.
      objects: ``(B, n, width)``.
      here: which of them there are, ``(B, n)``.
      memory: ``(B, tokens, width)``.
      shape: of the detector.

    Returns:
      The memory, and for each token the cosine to the most similar object.
    """
    both = objects @ params["objects"], memory
    mask = here, jnp.ones(memory.shape[:2], bool)
    run = _mutual(shape, shape.depth).apply
    (q, m), _ = run(params["mutual"], {}, both, train=True, mask=mask)
    cosines = jnp.einsum("bnd,bmd->bnm", _unit(q), _unit(m))
    nearest = jnp.max(jnp.where(here[..., None], cosines, -1.0), axis=1)
    return m, nearest


def decode(
    params: Any, memory: jax.Array, shape: Shape, nearest: jax.Array | None = None
) -> Found:
    """Boxes and classes of the tokens that most likely hold an object.

    Args:
      params: of ``init``.
      memory: ``(B, tokens, width)``.
      shape: of the detector.
      nearest: factor of the objectness where queries are chosen, ``(B, tokens)``.

    Returns:
      What was found. The choice of tokens has no gradient.
    """
    head = params["objectness"]
    objectness = (memory @ head["kernel"])[..., 0] + head["bias"]
    likely = jax.nn.sigmoid(objectness)
    likely = likely if nearest is None else likely * nearest
    at = jax.lax.top_k(jax.lax.stop_gradient(likely), shape.queries)[1]
    q = jnp.take_along_axis(memory, at[..., None], axis=1)
    run = _mutual(shape, 1).apply
    for layer in params["decoder"]:
        (q, _), _ = run(layer, {}, (q, memory), train=True)
    centres = (jnp.stack([at // GRID, at % GRID], axis=-1) + 0.5) / GRID
    sides = jnp.full((*at.shape, 1), 0.3)
    boxes = jnp.concatenate([centres, sides], axis=-1) + q @ params["box"]
    logits = q @ params["class"]["kernel"] + params["class"]["bias"]
    return Found(logits, boxes, q @ params["align"], objectness)


def _norm(x: jax.Array) -> jax.Array:
    x = x - jnp.mean(x, axis=-1, keepdims=True)
    return x * jax.lax.rsqrt(jnp.mean(x * x, axis=-1, keepdims=True) + 1e-5)


def _unit(x: jax.Array) -> jax.Array:
    return x * jax.lax.rsqrt(jnp.sum(x * x, axis=-1, keepdims=True) + 1e-12)
