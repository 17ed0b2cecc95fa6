"""Blurs, blocks and rounded cosines of ``corrupt``."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.ndimage import map_coordinates

_BLOCK = 8
# Steps of the cosines of brightness at quality 50: annex K of the JPEG standard.
_TABLE = np.array(
    [
        [16, 11, 10, 16, 24, 40, 51, 61],
        [12, 12, 14, 19, 26, 58, 60, 55],
        [14, 13, 16, 24, 40, 57, 69, 56],
        [14, 17, 22, 29, 51, 87, 80, 62],
        [18, 22, 37, 56, 68, 109, 103, 77],
        [24, 35, 55, 64, 81, 104, 113, 92],
        [49, 64, 78, 87, 103, 121, 120, 101],
        [72, 92, 95, 98, 112, 100, 103, 99],
    ],
    np.float64,
)


def defocused(key: jax.Array, x: jax.Array, radius: float) -> jax.Array:
    """Means over a disc whose edge is smooth.

    Args:
      key: not used.
      x: images ``(B, H, W, C)``; their edges are repeated.
      radius: in pixels.

    Returns:
      As the images.
    """
    reach = math.ceil(radius)
    places = np.arange(-reach, reach + 1)
    far = np.hypot(places[:, None], places[None])
    disc = np.clip(radius + 0.5 - far, 0, 1)
    kernel = jnp.asarray(disc / disc.sum(), x.dtype)[:, :, None, None]
    padded = jnp.pad(x, ((0, 0), (reach, reach), (reach, reach), (0, 0)), mode="edge")
    return jax.lax.conv_general_dilated(
        padded,
        jnp.tile(kernel, (1, 1, 1, x.shape[-1])),
        (1, 1),
        "VALID",
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=x.shape[-1],
    )


def moved_by(key: jax.Array, x: jax.Array, length: float) -> jax.Array:
    """Means along a line at a random angle of each image, bilinear.

    Args:
      key: of the angles.
      x: images ``(B, H, W, C)``; their edges are repeated.
      length: of the line, a whole number of pixels.

    Returns:
      As the images.
    """
    count = int(length)
    angles = jax.random.uniform(key, (x.shape[0],), jnp.float32, 0, jnp.pi)
    along = np.arange(count) - (count - 1) / 2
    row, column = np.meshgrid(*map(np.arange, x.shape[1:3]), indexing="ij")

    def one(image: jax.Array, angle: jax.Array) -> jax.Array:
        steps = jnp.asarray(along[:, None, None], x.dtype)
        at = [
            jnp.asarray(place[None], x.dtype) + steps * turn(angle.astype(x.dtype))
            for place, turn in ((row, jnp.sin), (column, jnp.cos))
        ]
        each = jax.vmap(
            lambda channel: map_coordinates(channel, at, order=1, mode="nearest"),
            in_axes=-1,
            out_axes=-1,
        )
        return jnp.mean(each(image), axis=0)

    return jax.vmap(one)(x, angles)


def pixelated(key: jax.Array, x: jax.Array, side: float) -> jax.Array:
    """Means over square blocks; those at the edge may be smaller.

    Args:
      key: not used.
      x: images ``(B, H, W, C)``.
      side: of a block, a whole number of pixels.

    Returns:
      As the images; doing it twice changes nothing more.
    """
    sums = [_blocks(size, int(side)) for size in x.shape[1:3]]
    rows, columns = (jnp.asarray(m, x.dtype) for m in sums)
    best = jax.lax.Precision.HIGHEST
    y = jnp.einsum("ih,bhwc->biwc", rows, x, precision=best)
    return jnp.einsum("jw,biwc->bijc", columns, y, precision=best)


def _blocks(size: int, side: int) -> np.ndarray:
    """The matrix of means over blocks of an axis."""
    block = np.arange(size) // side
    same = (block[:, None] == block[None]).astype(np.float64)
    return same / same.sum(axis=1, keepdims=True)


def compressed(key: jax.Array, x: jax.Array, quality: float) -> jax.Array:
    """Cosines of blocks of 8 x 8, rounded as JPEG does at a quality.

    Args:
      key: not used.
      x: images ``(B, H, W, C)``; edges are repeated to whole blocks.
      quality: from 1 to 100.

    Returns:
      As the images.
    """
    batch, height, width, channels = x.shape
    fill = [(-n) % _BLOCK for n in (height, width)]
    z = jnp.pad(x, ((0, 0), (0, fill[0]), (0, fill[1]), (0, 0)), mode="edge")
    rows, columns = (n // _BLOCK for n in z.shape[1:3])
    z = z.reshape(batch, rows, _BLOCK, columns, _BLOCK, channels)
    z = z * jnp.asarray(255, z.dtype) - jnp.asarray(128, z.dtype)
    scale = 5000 / quality if quality < 50 else 200 - 2 * quality
    steps = np.clip(np.floor((_TABLE * scale + 50) / 100), 1, 255)
    basis = jnp.asarray(_cosines(), x.dtype)
    best = jax.lax.Precision.HIGHEST
    y = jnp.einsum("ki,briqjc,lj->brkqlc", basis, z, basis, precision=best)
    by = jnp.asarray(steps, x.dtype).reshape(1, 1, _BLOCK, 1, _BLOCK, 1)
    y = jnp.round(y / by) * by
    z = jnp.einsum("ki,brkqlc,lj->briqjc", basis, y, basis, precision=best)
    z = (z + jnp.asarray(128, z.dtype)) / jnp.asarray(255, z.dtype)
    z = z.reshape(batch, rows * _BLOCK, columns * _BLOCK, channels)
    return z[:, :height, :width]


def _cosines() -> np.ndarray:
    """The orthonormal matrix of the discrete cosine transform of a block."""
    k, place = np.arange(_BLOCK)[:, None], np.arange(_BLOCK)[None]
    basis = np.cos(np.pi * k * (2 * place + 1) / (2 * _BLOCK)) * (2 / _BLOCK) ** 0.5
    basis[0] /= 2**0.5
    return basis
