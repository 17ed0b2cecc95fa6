"""Random erasing: a rectangle of each image is overwritten."""
# Its examples wait for pytest --full.

from __future__ import annotations

from typing import Annotated

import jax
import jax.numpy as jnp

from jaxopt_lab.core.entries import check_entries, check_images
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.numbers import known_number
from jaxopt_lab.core.options import SHARE, UNIT, check_arguments
from jaxopt_lab.core.typing import Batch, Scalar
from jaxopt_lab.data.batches import Augment


def erase(
    probability: Annotated[Scalar, UNIT] = 0.5,
    *,
    smallest: Annotated[Scalar, SHARE] = 0.02,
    largest: Annotated[Scalar, SHARE] = 0.4,
    ratio: Annotated[Scalar, SHARE] = 0.3,
    value: float = 0.0,
) -> Augment:
    r"""Overwrite a random rectangle of an image, with a probability.

    Every image draws its own rectangle, with an area :math:`S` uniform between
    ``smallest`` and ``largest`` of the image and a ratio :math:`r` of its sides uniform
    between ``ratio`` and its inverse: :math:`\sqrt{S r}` rows and :math:`\sqrt{S / r}`
    columns, rounded, at a uniform place.

    Args:
      probability: of an image that is changed.
      smallest: least area, as a part of the image.
      largest: largest area, at least ``smallest``.
      ratio: least ratio of the sides.
      value: what is written into the rectangle, in the images' own numbers.

    Returns:
      ``(key, batch) -> batch``, on ``batch["image"]`` of shape ``(B, H, W, C)``. Types
      stay.

    Raises:
      InputError: an option is out of range; at the call, there are no images in the
        batch.

    >>> batch = {"image": jnp.ones((1, 8, 8, 1))}
    >>> float(erase(1.0)(jax.random.key(0), batch)["image"].min())
    0.0

    Cost: one selection of the size of the images.

    Source: Zhong et al. 2017, "Random Erasing Data Augmentation", arXiv:1708.04896.
    They draw again until the rectangle fits into the image; here its sides are cut
    down to those of the image. They write random numbers; ``value`` is ours, since the
    scale of the images is not known.
    """
    check_arguments(erase, locals())
    low, high = known_number(smallest), known_number(largest)
    if low is not None and high is not None and low > high:
        raise InputError(f"smallest={smallest} must not exceed largest={largest}")

    def transform(key: jax.Array, batch: Batch) -> Batch:
        check_entries(batch, ("image",), "erase")
        if known_number(probability) == 0:
            return batch
        images = jnp.asarray(batch["image"])
        check_images(images, "erase")
        count, height, width = images.shape[:3]
        draws = jax.random.uniform(key, (5, count), jnp.float32)
        area = (smallest + (largest - smallest) * draws[0]) * (height * width)
        sides = ratio + (1 / jnp.asarray(ratio, jnp.float32) - ratio) * draws[1]
        rows = _within(height, jnp.sqrt(area * sides), draws[2])
        columns = _within(width, jnp.sqrt(area / sides), draws[3])
        chosen = (draws[4] < probability)[:, None, None]
        mask = chosen & rows[:, :, None] & columns[:, None, :]
        mask = mask.reshape(mask.shape + (1,) * (images.ndim - 3))
        written = jnp.where(mask, jnp.asarray(value, images.dtype), images)
        return {**batch, "image": written}

    return transform


def _within(size: int, length: jax.Array, draw: jax.Array) -> jax.Array:
    """Whether each position is in each image's part of an axis, ``(B, size)``."""
    length = jnp.clip(jnp.round(length), 1, size).astype(jnp.int32)[:, None]
    places = (size - length + 1).astype(draw.dtype)
    begin = jnp.floor(draw[:, None] * places).astype(jnp.int32)
    positions = jnp.arange(size, dtype=jnp.int32)[None]
    return (positions >= begin) & (positions < begin + length)
