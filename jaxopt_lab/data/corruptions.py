"""Corruptions of images in five severities, to measure robustness with."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Annotated, Literal

import jax
import jax.numpy as jnp

from jaxopt_lab.core import errors
from jaxopt_lab.core.entries import check_entries
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.options import Interval, check_arguments
from jaxopt_lab.core.typing import Batch
from jaxopt_lab.data.batches import Augment
from jaxopt_lab.data.corruption_filters import (
    compressed,
    defocused,
    moved_by,
    pixelated,
)

Name = Literal[
    "gaussian_noise",
    "shot_noise",
    "impulse_noise",
    "defocus_blur",
    "motion_blur",
    "brightness",
    "contrast",
    "pixelate",
    "jpeg",
]
SEVERITY = Interval(0, 5)

CORRUPTIONS: Mapping[str, tuple[float, ...]] = MappingProxyType(
    {
        "gaussian_noise": (0.08, 0.12, 0.18, 0.26, 0.38),
        "shot_noise": (60.0, 25.0, 12.0, 5.0, 3.0),
        "impulse_noise": (0.03, 0.06, 0.09, 0.17, 0.27),
        "defocus_blur": (1.0, 1.5, 2.0, 2.5, 3.0),
        "motion_blur": (3, 5, 7, 9, 11),
        "brightness": (0.1, 0.2, 0.3, 0.4, 0.5),
        "contrast": (0.4, 0.3, 0.2, 0.1, 0.05),
        "pixelate": (2, 3, 4, 5, 6),
        "jpeg": (25, 18, 15, 10, 7),
    }
)
"""Strength at each severity: deviation of the noise, photons of full brightness, share
of pixels, radius and length in pixels, added brightness, factor, side of a block in
pixels, quality. Blurs and blocks are for images of tens of pixels, and ours; the others
are those of ImageNet-C."""


def corruption(
    name: Name = "gaussian_noise",
    *,
    severity: Annotated[int, SEVERITY] = 3,
    strengths: Sequence[float] | None = None,
) -> Augment:
    """One corruption of all images of a batch.

    Args:
      name: of ``CORRUPTIONS``.
      severity: from 1 to 5; 0 changes nothing.
      strengths: one for each severity; ``None``: those of ``CORRUPTIONS``.

    Returns:
      ``(key, batch) -> batch`` on ``batch["image"]``, as ``corrupt``.

    Raises:
      InputError: an unknown name, a severity out of range, not five strengths; at the
        call, there are no images, or they are not real floating numbers.

    Cost: that of ``corrupt``; a few arrays of the size of the images; blurs are one
    convolution a channel, or a gather for each pixel of the length.

    Source: Hendrycks and Dietterich, "Benchmarking Neural Network Robustness to Common
    Corruptions and Perturbations", 2019 (https://arxiv.org/abs/1903.12261).

    >>> batch = {"image": jnp.full((1, 8, 8, 1), 0.5)}
    >>> darker = corruption("brightness", severity=2)(jax.random.key(0), batch)
    >>> f"{darker['image'].mean():.2f}"
    '0.70'
    """
    given = {"name": name, "severity": severity}
    check_arguments(corruption, given)

    def transform(key: jax.Array, batch: Batch) -> Batch:
        check_entries(batch, ("image",), "corrupt")
        changed = corrupt(key, batch["image"], strengths=strengths, **given)
        return {**batch, "image": changed}

    return transform


def corrupt(
    key: jax.Array,
    images: jax.Array,
    *,
    name: Name,
    severity: Annotated[int, SEVERITY],
    strengths: Sequence[float] | None = None,
) -> jax.Array:
    r"""Images with a corruption, clipped to 0 to 1.

    Noise: normal of a deviation; Poisson counts of photons over their number;
    black and white pixels, half each. Blur: a disc of a radius (edges are repeated); a
    line of a length at an angle of each image. Brightness is added; contrast multiplies
    the distance from the mean of each image and channel; pixelate takes means over
    blocks; jpeg rounds the cosines of blocks of 8 x 8 to multiples of the standard
    table at a quality, each channel by itself.

    Args:
      key: of the draws; blurs but motion, brightness, contrast, pixelate and jpeg draw
        nothing.
      images: ``(B, H, W, C)``, real floating numbers from 0 to 1.
      name: of ``CORRUPTIONS``.
      severity: from 1 to 5; 0: the images as they are.
      strengths: one for each severity; ``None``: those of ``CORRUPTIONS``.

    Returns:
      The shape and type of the images.

    Raises:
      InputError: as of ``corruption``.

    >>> x = jnp.full((1, 2, 2, 1), 0.25).at[0, 0, 0, 0].set(0.75)
    >>> corrupt(jax.random.key(0), x, name="pixelate", severity=1).ravel().tolist()
    [0.375, 0.375, 0.375, 0.375]
    """
    check_arguments(corrupt, {"severity": severity})
    if name not in CORRUPTIONS:
        raise errors.unknown("name", str(name), CORRUPTIONS)
    every = CORRUPTIONS[name] if strengths is None else tuple(strengths)
    if len(every) != 5:
        raise InputError(
            f"strengths must be five numbers, one a severity; got {len(every)}"
        )
    if images.ndim != 4 or not jnp.issubdtype(images.dtype, jnp.floating):
        raise InputError(
            "images to corrupt must be real floating numbers (B, H, W, C) from 0 to 1; "
            f"got {images.dtype} of shape {images.shape}"
        )
    if severity == 0:
        return images
    changed = _CHANGES[name](key, images, every[severity - 1])
    return jnp.clip(changed, 0, 1).astype(images.dtype)


def _gaussian(key: jax.Array, x: jax.Array, deviation: float) -> jax.Array:
    # Of one type, so that the draws do not depend on that of the images.
    noise = jax.random.normal(key, x.shape, jnp.float32).astype(x.dtype)
    return x + noise * jnp.asarray(deviation, x.dtype)


def _shot(key: jax.Array, x: jax.Array, photons: float) -> jax.Array:
    rate = jnp.maximum(x, 0).astype(jnp.float32) * jnp.float32(photons)
    counts = jax.random.poisson(key, rate).astype(x.dtype)
    counts = jnp.where(jnp.isnan(x), x, counts)
    return counts / jnp.asarray(photons, x.dtype)


def _impulse(key: jax.Array, x: jax.Array, share: float) -> jax.Array:
    draws = jax.random.uniform(key, x.shape, jnp.float32)
    half = jnp.float32(share / 2)
    return jnp.where(draws < half, 0, jnp.where(draws < 2 * half, 1, x))


def _brightness(key: jax.Array, x: jax.Array, added: float) -> jax.Array:
    return x + jnp.asarray(added, x.dtype)


def _contrast(key: jax.Array, x: jax.Array, factor: float) -> jax.Array:
    mean = jnp.mean(x, axis=(1, 2), keepdims=True)
    return mean + (x - mean) * jnp.asarray(factor, x.dtype)


_CHANGES: Mapping[str, Callable[[jax.Array, jax.Array, float], jax.Array]] = {
    "gaussian_noise": _gaussian,
    "shot_noise": _shot,
    "impulse_noise": _impulse,
    "defocus_blur": defocused,
    "motion_blur": moved_by,
    "brightness": _brightness,
    "contrast": _contrast,
    "pixelate": pixelated,
    "jpeg": compressed,
}
