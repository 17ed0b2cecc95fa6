"""Fashion-MNIST for the studies."""

from __future__ import annotations

from pathlib import Path

import jax
import jax.numpy as jnp

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.data import Dataset


def fashion_mnist(folder: Path | None) -> Dataset:
    """Fashion-MNIST from its official IDX files or from a prepared TFDS folder.

    Args:
      folder: the folder of the IDX files, or the ``data_dir`` of TFDS.

    Returns:
      The set.

    Raises:
      InputError: neither is there.
    """
    if folder is None:
        raise InputError(
            "Fashion-MNIST needs fashion=FOLDER, of its IDX files or of prepared TFDS "
            "sets"
        )
    for place in (folder, folder / "fashion_mnist"):
        if any(place.glob("train-images-idx3-ubyte*")):
            from jaxopt_lab.data.idx import load_fashion_mnist

            return load_fashion_mnist(place)
    from jaxopt_lab.data.tfds_sets import load_tfds

    return load_tfds("fashion_mnist", folder)


def pooled(images: jax.Array) -> jax.Array:
    """Images of half the size, means over 2x2 pixels, in 0 to 1.

    Args:
      images: uint8, shape ``(N, H, W, C)`` with even H and W.

    Returns:
      float32, shape ``(N, H / 2, W / 2, C)``.
    """
    count, height, width, channels = images.shape
    blocks = images.reshape(count, height // 2, 2, width // 2, 2, channels)
    return jnp.mean(blocks, axis=(2, 4), dtype=jnp.float32) / 255


def of_eight(images: jax.Array) -> jax.Array:
    """Images of 28 x 28 at the size of the digits, means over 4 x 4 pixels, in 0 to 1.

    Args:
      images: uint8, ``(N, 28, 28, 1)``; a frame of two zeros makes them 32 x 32.

    Returns:
      float32, flat: ``(N, 64)``.
    """
    framed = jnp.pad(images, ((0, 0), (2, 2), (2, 2), (0, 0)))
    blocks = framed.reshape(len(images), 8, 4, 8, 4)
    return jnp.mean(blocks, axis=(2, 4), dtype=jnp.float32).reshape(-1, 64) / 255
