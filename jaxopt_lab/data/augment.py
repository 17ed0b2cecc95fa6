"""Image augmentation, as pure functions of a key.

Each builder returns ``(key, batch) -> batch``, which changes ``batch["image"]`` of
shape ``(B, H, W, C)`` and leaves the other entries alone. Every image draws its own
numbers. Pixels are moved, never computed, so the dtype stays and uint8 stays exact.
"""
# Its examples wait for pytest --full.

from __future__ import annotations

import jax
import jax.numpy as jnp

from jaxopt_lab.core.checks import check_integer
from jaxopt_lab.core.entries import check_entries, check_images
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.typing import Batch
from jaxopt_lab.data.batches import Augment


def _images(batch: Batch) -> jax.Array:
    check_entries(batch, ("image",), "augment")
    images = batch["image"]
    check_images(images, "augment", channels=True)
    return images


def pad_crop(pad: int) -> Augment:
    r"""Pad with zeros on all sides, then cut the old size out at a random place.

    Image b becomes :math:`y_{ij} = x_{i + u_b - p,\ j + v_b - p}` with :math:`u_b, v_b`
    uniform in :math:`0 .. 2p` and zero where the index leaves the image.

    Args:
      pad: ``p``, rows and columns added on each side, at least 1.

    Returns:
      ``(key, batch) -> batch``. The offsets are
      ``jax.random.randint(key, (B, 2), 0, 2 * pad + 1)``: rows, then columns.

    Raises:
      InputError: ``pad`` is less than 1; at the call, there are no images in the batch.

    >>> batch = {"image": jnp.ones((2, 4, 4, 1))}
    >>> pad_crop(1)(jax.random.key(0), batch)["image"].shape
    (2, 4, 4, 1)
    """
    check_integer("pad", pad)
    if pad < 1:
        raise InputError(f"pad={pad} is out of range; accepted: [1, inf)")

    def augment(key: jax.Array, batch: Batch) -> Batch:
        images = _images(batch)
        count, *one = images.shape
        offsets = jax.random.randint(key, (count, 2), 0, 2 * pad + 1)
        sides = ((0, 0), (pad, pad), (pad, pad), (0, 0))
        padded = jnp.pad(images, sides)

        def cut(image: jax.Array, offset: jax.Array) -> jax.Array:
            return jax.lax.dynamic_slice(image, (offset[0], offset[1], 0), one)

        cropped = jax.vmap(cut)(padded, offsets)
        return {**batch, "image": cropped}

    return augment


def flip(probability: float = 0.5) -> Augment:
    """Mirror each image left to right, with a probability.

    Args:
      probability: of a mirrored image, in ``[0, 1]``.

    Returns:
      ``(key, batch) -> batch``. Mirrored are the images for which
      ``jax.random.bernoulli(key, probability, (B,))``.

    Raises:
      InputError: ``probability`` is out of range; at the call, there are no images in
        the batch.

    >>> batch = {"image": jnp.arange(3.0).reshape(1, 1, 3, 1)}
    >>> flip(1.0)(jax.random.key(0), batch)["image"].ravel().tolist()
    [2.0, 1.0, 0.0]
    """
    if not 0 <= probability <= 1:
        raise InputError(f"probability={probability} is out of range; accepted: [0, 1]")

    def augment(key: jax.Array, batch: Batch) -> Batch:
        images = _images(batch)
        mirrored = jax.random.bernoulli(key, probability, (images.shape[0],))
        chosen = jnp.where(
            mirrored[:, None, None, None], jnp.flip(images, axis=2), images
        )
        return {**batch, "image": chosen}

    return augment


def compose(*augments: Augment) -> Augment:
    """Compose augmentations, each with its own key.

    Args:
      *augments: ``(key, batch) -> batch``; the first is applied first.

    Returns:
      ``(key, batch) -> batch``; number i gets ``jax.random.fold_in(key, i)``. Without
      arguments, the identity.

    >>> twice = compose(flip(1.0), flip(1.0))
    >>> batch = {"image": jnp.arange(3.0).reshape(1, 1, 3, 1)}
    >>> twice(jax.random.key(0), batch)["image"].ravel().tolist()
    [0.0, 1.0, 2.0]
    """

    def augment(key: jax.Array, batch: Batch) -> Batch:
        for i, one in enumerate(augments):
            batch = one(jax.random.fold_in(key, i), batch)
        return batch

    return augment
