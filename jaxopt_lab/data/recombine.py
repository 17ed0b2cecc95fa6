"""Recombined images: the object of one before the background of another class."""
# Its examples wait for pytest --full.

from __future__ import annotations

from typing import Annotated

import jax
import jax.numpy as jnp
import numpy as np

from jaxopt_lab.core import trees
from jaxopt_lab.core.entries import check_entries, check_images
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.known_values import known_values
from jaxopt_lab.core.numbers import known_number
from jaxopt_lab.core.options import POSITIVE, UNIT, check_arguments
from jaxopt_lab.core.pixels import to_float
from jaxopt_lab.core.shapes import refuse_empty
from jaxopt_lab.core.typing import Batch, Scalar
from jaxopt_lab.data.batches import Augment


def recombine(
    probability: Annotated[Scalar, UNIT] = 0.5,
    *,
    inter_class: bool = True,
    threshold: float = 0.2,
    softness: Annotated[Scalar, POSITIVE] = 0.05,
    label: str = "label",
) -> Augment:
    r"""Put the object of every image before the background of another one.

    With the mask m of image i, a variant v of it and an image j, both drawn uniformly,

    .. math::
        \tilde x_i = m_i \, x_i^{(v)} + (1 - m_i) \, c_j, \qquad \tilde y_i = y_i.

    Entries of the batch that are used where it has them: ``mask`` ``(B, H, W)`` or
    ``(B, H, W, 1)`` in [0, 1]; ``background`` c of each image, as the image;
    ``variants`` ``(B, V, H, W, ...)`` of each image, to which the image itself counts.
    Without a mask it is that of bright objects,
    :math:`m = \sigma((\bar x - t) / s)` of the mean over channels; without backgrounds
    c is image j with its object filled by the mean of its background.

    Args:
      probability: of an image that is changed; 0 changes nothing.
      inter_class: j is of another class than i; ``False``: any image of the batch.
      threshold: t, in the images' numbers; integers are divided by 255.
      softness: s, width of the edge of a mask that is not given, above 0.
      label: entry of the integer labels, ``(B,)``; needed by ``inter_class``.

    Returns:
      ``(key, batch) -> batch``; labels are kept. An image without one of another class
      in its batch stays as it is.

    Raises:
      InputError: an option is out of range; at the call, an entry is missing or has
        another shape, or the labels, where they are known, have one class only.

    Memory: B x B random numbers.

    >>> image = jnp.array([[[0.0, 1.0]], [[0.5, 0.5]]])
    >>> mask = jnp.array([[[0.0, 1.0]], [[1.0, 0.0]]])
    >>> batch = {"image": image, "mask": mask, "background": image - 9.0}
    >>> batch["label"] = jnp.array([0, 1])
    >>> recombine(1.0)(jax.random.key(0), batch)["image"].tolist()
    [[[-8.5, 1.0]], [[0.5, -8.0]]]

    Source: "Decoupled Data Augmentation for Improving Image Classification" (De-DA),
    from its abstract and reviews; the masks of bright objects and the filled
    backgrounds are ours.
    """
    check_arguments(recombine, locals())

    def transform(key: jax.Array, batch: Batch) -> Batch:
        check_entries(batch, ("image",), "recombine")
        if known_number(probability) == 0:
            return batch
        images = to_float(batch["image"])
        refuse_empty("image", images)
        check_images(images, "recombine")
        count = images.shape[0]
        draws = jax.random.uniform(key, (count, count + 2), jnp.float32)
        mask = _mask(batch, images, threshold, softness)
        allowed = jnp.ones((count, count), bool)
        if inter_class:
            labels = _labels(batch, label, count)
            allowed = labels[:, None] != labels[None, :]
        scores = jnp.where(allowed, draws[:, 2:], -1)
        chosen = jnp.argmax(scores, axis=1)
        changed = (draws[:, 0] < probability) & jnp.any(allowed, axis=1)
        background = to_float(batch.get("background", _filled(images, mask)))
        if background.shape != images.shape:
            raise InputError(
                f"backgrounds have shape {background.shape}; accepted: that of the "
                f"images, {images.shape}"
            )
        objects = _variant(batch, images, draws[:, 1])
        mixed = composite(objects, mask, background[chosen])
        rows = changed.reshape(count, *(1,) * (images.ndim - 1))
        return {**batch, "image": jnp.where(rows, mixed, images)}

    return transform


def composite(
    foreground: jax.Array, mask: jax.Array, background: jax.Array
) -> jax.Array:
    """Foreground where the mask is 1, background where it is 0, and between.

    Args:
      foreground: images, floating.
      mask: in [0, 1], of their shape up to axes of length 1.
      background: images of the same shape and type.

    Returns:
      ``mask * foreground + (1 - mask) * background``, in the type of ``foreground``.

    >>> composite(jnp.ones(3), jnp.array([0.0, 0.5, 1.0]), jnp.zeros(3)).tolist()
    [0.0, 0.5, 1.0]
    """
    dtype = trees.accumulation_dtype(foreground.dtype)
    part = mask.astype(dtype)
    wide = part * foreground.astype(dtype) + (1 - part) * background.astype(dtype)
    return wide.astype(foreground.dtype)


def _mask(
    batch: Batch, images: jax.Array, threshold: float, softness: Scalar
) -> jax.Array:
    """Masks with an axis of length 1 for each axis behind height and width."""
    ones = (1,) * (images.ndim - 3)
    if "mask" not in batch:
        dtype = trees.accumulation_dtype(images.dtype)
        axes = tuple(range(3, images.ndim))
        grey = jnp.mean(images.astype(dtype), axis=axes, keepdims=True)
        above = grey - jnp.asarray(threshold, dtype)
        return jax.nn.sigmoid(above / jnp.asarray(softness, dtype)).astype(images.dtype)
    mask = jnp.asarray(batch["mask"])
    if mask.shape not in (images.shape[:3], (*images.shape[:3], *ones)):
        raise InputError(
            f"masks have shape {mask.shape}; accepted: {images.shape[:3]}, for images "
            f"of {images.shape}"
        )
    return mask.reshape(*images.shape[:3], *ones).astype(images.dtype)


def _filled(images: jax.Array, mask: jax.Array) -> jax.Array:
    """Images whose object is replaced by the mean of the background."""
    dtype = trees.accumulation_dtype(images.dtype)
    outside = 1 - mask.astype(dtype)
    total = jnp.sum(outside, axis=(1, 2), keepdims=True)
    size = jnp.where(total > 0, total, 1)
    mean = jnp.sum(outside * images.astype(dtype), axis=(1, 2), keepdims=True) / size
    return composite(mean.astype(images.dtype), mask, images)


def _labels(batch: Batch, label: str, count: int) -> jax.Array:
    check_entries(batch, (label,))
    given = batch[label]
    labels = jnp.asarray(given)
    if labels.shape != (count,) or not jnp.issubdtype(labels.dtype, jnp.integer):
        raise InputError(
            f"labels must be integers of shape {(count,)}; got {labels.dtype} of shape "
            f"{labels.shape}"
        )
    known = known_values(given)
    if known is not None and len(np.unique(known)) == 1:
        raise InputError(
            "all labels of the batch are of one class, so that no image has a "
            "background of another; accepted: two classes, or inter_class=False"
        )
    return labels


def _variant(batch: Batch, images: jax.Array, draw: jax.Array) -> jax.Array:
    """One of each image's variants, the image itself being one of them."""
    if "variants" not in batch:
        return images
    variants = to_float(batch["variants"])
    if variants.ndim < 2 or variants.shape[:1] + variants.shape[2:] != images.shape:
        raise InputError(
            f"variants have shape {variants.shape}; accepted: (B, V, ...) for images "
            f"of {images.shape}"
        )
    every = jnp.concatenate([images[:, None], variants.astype(images.dtype)], axis=1)
    place = jnp.floor(draw * every.shape[1]).astype(jnp.int32)
    return every[jnp.arange(every.shape[0], dtype=jnp.int32), place]
