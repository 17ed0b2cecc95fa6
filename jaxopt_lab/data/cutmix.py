"""CutMix: a box of another example of the batch, and its share of the label."""
# Its examples wait for pytest --full.

from __future__ import annotations

from typing import Annotated

import jax
import jax.numpy as jnp

from jaxopt_lab.core import trees
from jaxopt_lab.core.entries import check_entries, check_images
from jaxopt_lab.core.mixing import probabilities, symmetric_beta
from jaxopt_lab.core.numbers import known_number
from jaxopt_lab.core.options import COUNT, NON_NEGATIVE, UNIT, check_arguments
from jaxopt_lab.core.typing import Batch, Scalar
from jaxopt_lab.data.batches import Augment


def cutmix(
    alpha: Annotated[Scalar, NON_NEGATIVE] = 1.0,
    *,
    num_classes: Annotated[int, COUNT],
    probability: Annotated[Scalar, UNIT] = 1.0,
    label: str = "label",
) -> Augment:
    r"""Paste a box of another image of the batch into every image.

    With one :math:`\lambda \sim \mathrm{Beta}(\alpha, \alpha)`, one random order
    :math:`\pi` and one box for a batch, of
    :math:`\lfloor H \sqrt{1 - \lambda} \rfloor` rows and
    :math:`\lfloor W \sqrt{1 - \lambda} \rfloor` columns around a uniform centre and cut
    off at the borders, and with :math:`s` the share of the image that it covers,

    .. math::
        \tilde x_i = x_{\pi(i)} \text{ inside}, \; x_i \text{ outside}, \quad
        \tilde y_i = (1 - s) y_i + s y_{\pi(i)}.

    Args:
      alpha: strength, at least 0; 0 changes nothing, labels included.
      num_classes: C, columns of the mixed labels.
      probability: of a batch that is changed; 0.5 in the paper's runs on CIFAR. Labels
        become probabilities in the others, too.
      label: entry of the labels, integers ``(B,)``, mixed to ``(B, C)``; or floats
        ``(B, C)`` that are mixed as they are.

    Returns:
      ``(key, batch) -> batch``, on images ``(B, H, W, ...)``. Pixels are moved, never
      computed: their type stays. Labels become floats, of the images' type where that
      is floating, else float32.

    Raises:
      InputError: an option is out of range; at the call, an entry is missing or has
        another shape.

    >>> batch = {"image": jnp.eye(4).reshape(4, 2, 2), "label": jnp.arange(4) % 2}
    >>> mixed = cutmix(num_classes=2)(jax.random.key(0), batch)
    >>> mixed["image"].shape, mixed["label"].shape
    ((4, 2, 2), (4, 2))

    Cost: one gather and one selection of the size of the images.

    Source: Yun et al. 2019, "CutMix: Regularization Strategy to Train Strong
    Classifiers with Localizable Features", arXiv:1905.04899. Half the sides are rounded
    down, as in their code.
    """
    check_arguments(cutmix, locals())

    def transform(key: jax.Array, batch: Batch) -> Batch:
        check_entries(batch, ("image", label), "mix")
        if known_number(alpha) == 0:
            return batch
        images = jnp.asarray(batch["image"])
        check_images(images, "mix")
        floating = trees.is_floating(images)
        like = images.dtype if floating else jnp.dtype(jnp.float32)
        labels = probabilities(batch[label], num_classes, images.shape[0], like)
        count, height, width = images.shape[:3]
        draws = jax.random.uniform(key, (count + 5,), jnp.float32)
        side = jnp.sqrt(1 - symmetric_beta(draws[0], draws[1], alpha))
        side = jnp.where(draws[2] < probability, side, 0)
        order = jnp.argsort(draws[5:])
        rows = _within(height, side, draws[3])
        columns = _within(width, side, draws[4])
        box = rows[:, None] & columns[None, :]
        mask = box.reshape((1, height, width) + (1,) * (images.ndim - 3))
        wide = labels.astype(trees.accumulation_dtype(labels.dtype))
        pixels = jnp.sum(rows, dtype=wide.dtype) * jnp.sum(columns, dtype=wide.dtype)
        part = pixels / (height * width)
        mixed = (1 - part) * wide + part * wide[order]
        return {
            **batch,
            "image": jnp.where(mask, images[order], images),
            label: mixed.astype(labels.dtype),
        }

    return transform


def _within(size: int, side: jax.Array, draw: jax.Array) -> jax.Array:
    """Whether each position is within a part of the axis around a random centre."""
    half = jnp.floor(size * side).astype(jnp.int32) // 2
    centre = jnp.floor(size * draw).astype(jnp.int32)
    positions = jnp.arange(size, dtype=jnp.int32)
    return (positions >= centre - half) & (positions < centre + half)
