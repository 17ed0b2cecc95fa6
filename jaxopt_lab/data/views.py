"""A weak and a strong view of every image, for learning by consistency."""
# Its examples wait for pytest --full.

from __future__ import annotations

from typing import Annotated

import jax
import jax.numpy as jnp
import numpy as np

from jaxopt_lab.core import trees
from jaxopt_lab.core.entries import check_entries, check_images
from jaxopt_lab.core.numbers import known_number
from jaxopt_lab.core.options import COUNT_OR_ZERO, UNIT, check_arguments
from jaxopt_lab.core.pixels import to_float
from jaxopt_lab.core.typing import Batch, Scalar
from jaxopt_lab.data.augment import pad_crop
from jaxopt_lab.data.batches import Augment
from jaxopt_lab.data.erase import erase


def views(
    strength: Annotated[Scalar, UNIT] = 0.5,
    *,
    pad: Annotated[int, COUNT_OR_ZERO] = 1,
    probability: Annotated[Scalar, UNIT] = 0.0,
    strong: str = "strong",
) -> Augment:
    r"""Make the images weak views of themselves, and add strong ones.

    A weak view is mirrored with a probability and shifted by up to ``pad`` pixels. The
    strong view is a weak one, drawn for itself, with contrast, brightness and a shade
    across the image that each image draws,

    .. math::
        \tilde x = \bar x + (1 + s c)(x - \bar x) + s (b + g_1 u + g_2 v), \quad
        c, b, g_1, g_2 \sim \mathcal{U}(-1, 1), \; u, v \in [-1, 1],

    with the image's mean :math:`\bar x` and positions u, v, and with a rectangle of at
    most a share :math:`s / 2` of the image set to the image's smallest pixel.

    Args:
      strength: s, in [0, 1]; at 0 the strong view is one more weak view. The numbers
        are for images between 0 and 1.
      pad: largest shift, in pixels.
      probability: of a mirrored image; 0 is for digits, 0.5 for photographs.
      strong: entry for the strong views.

    Returns:
      ``(key, batch) -> batch`` on ``batch["image"]`` of shape ``(B, H, W, C)``.
      Integers become float32 between 0 and 1, divided by 255. Labels and all other
      entries stay.

    Raises:
      InputError: an option is out of range; at the call, there are no images.

    >>> batch = {"image": jnp.ones((2, 4, 4, 1))}
    >>> sorted(views()(jax.random.key(0), batch))
    ['image', 'strong']

    Cost: a few arrays of the size of the images for each of the two views.

    Source: Sohn et al., "FixMatch: Simplifying Semi-Supervised Learning with
    Consistency and Confidence", arXiv:2001.07685, for the two views; the strong one is
    ours: few operations of numbers instead of their list of photo filters.
    """
    check_arguments(views, locals())

    def weak(key: jax.Array, images: jax.Array) -> jax.Array:
        keys = jax.random.split(key)
        if known_number(probability) != 0:
            draws = jax.random.uniform(keys[0], (images.shape[0],), jnp.float32)
            mirrored = (draws < probability)[:, None, None, None]
            images = jnp.where(mirrored, jnp.flip(images, axis=2), images)
        if pad:
            images = pad_crop(pad)(keys[1], {"image": images})["image"]
        return images

    def transform(key: jax.Array, batch: Batch) -> Batch:
        check_entries(batch, ("image",), "view")
        images = to_float(batch["image"])
        check_images(images, "view", channels=True)
        keys = jax.random.split(key, 3)
        changed = weak(keys[1], images)
        if known_number(strength) != 0:
            changed = _strong(keys[2], changed, strength)
        return {**batch, "image": weak(keys[0], images), strong: changed}

    return transform


def same_views(strong: str = "strong") -> Augment:
    """Two views that are the image itself, the neutral ``views``.

    Args:
      strong: entry for the second.

    Returns:
      ``(key, batch) -> batch``.

    >>> batch = {"image": jnp.ones((1, 2, 2, 1))}
    >>> sorted(same_views()(jax.random.key(0), batch))
    ['image', 'strong']
    """

    def transform(key: jax.Array, batch: Batch) -> Batch:
        del key
        images = to_float(batch["image"])
        return {**batch, "image": images, strong: images}

    return transform


def _strong(key: jax.Array, images: jax.Array, strength: Scalar) -> jax.Array:
    keys = jax.random.split(key)
    count, height, width, _ = images.shape
    dtype = trees.accumulation_dtype(images.dtype)
    size = jnp.asarray(strength, dtype)
    # Never 0, which erase refuses.
    share = 1e-6 + 0.5 * strength
    draws = jax.random.uniform(keys[0], (4, count), jnp.float32, -1, 1)
    draws = draws.astype(dtype).reshape(4, count, 1, 1, 1)
    wide = images.astype(dtype)
    mean = jnp.mean(wide, axis=(1, 2, 3), keepdims=True)
    rows = jnp.asarray(np.linspace(-1, 1, height)[None, :, None, None], dtype)
    columns = jnp.asarray(np.linspace(-1, 1, width)[None, None, :, None], dtype)
    shade = draws[1] + draws[2] * rows + draws[3] * columns
    moved = mean + (1 + size * draws[0]) * (wide - mean) + size * shade
    least = jnp.min(moved, axis=(1, 2, 3), keepdims=True)
    # Erased is written as 0, which is the smallest pixel of what is above it.
    above = {"image": moved - least}
    holes = erase(1.0, smallest=1e-6, largest=share)
    return (holes(keys[1], above)["image"] + least).astype(images.dtype)
