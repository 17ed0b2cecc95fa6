"""Variants of images along the principal components of their own class."""

from __future__ import annotations

import jax
import numpy as np

from jaxopt_lab.core.checks import check_integer
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.shapes import flattened


def class_variants(
    key: jax.Array,
    images: np.ndarray,
    labels: np.ndarray,
    *,
    count: int = 1,
    components: int = 4,
    scale: float = 0.5,
) -> np.ndarray:
    r"""Images moved along the largest principal components of their class.

    With components :math:`u_k` of the class of image i and their standard deviations
    :math:`s_k`,

    .. math::
        x_i^{(v)} = x_i + a \sum_k z_{ivk} \, s_k u_k, \quad z \sim \mathcal{N}(0, 1):

    a change that the class itself has, for ``recombine``. Computed once, on the host.

    Args:
      key: typed PRNG key.
      images: x, floats, examples first.
      labels: class of each image, integers.
      count: V, variants of an image.
      components: of a class, at most; a class of one image has none, and its variants
        are the image.
      scale: a, at least 0.

    Returns:
      Shape ``(B, V, ...)``, of the type of ``images``.

    Raises:
      InputError: the images are no floats, or the labels are no integers ``(B,)``.

    >>> images = np.array([[0.0, 1.0], [2.0, 1.0], [4.0, 1.0]], np.float32)
    >>> moved = class_variants(jax.random.key(0), images, np.zeros(3, int), count=2)
    >>> moved.shape, moved[..., 1].tolist()
    ((3, 2, 2), [[1.0, 1.0], [1.0, 1.0], [1.0, 1.0]])
    """
    check_integer("count", count, low=1)
    images, labels = np.asarray(images), np.asarray(labels)
    if images.dtype.kind != "f":
        raise InputError(f"images to vary must be floats; got {images.dtype}")
    if labels.shape != images.shape[:1] or labels.dtype.kind not in "iu":
        raise InputError(
            f"labels must be integers of shape {images.shape[:1]}; got {labels.dtype} "
            f"of shape {labels.shape}"
        )
    shape = (len(images), count, components)
    numbers = scale * np.asarray(jax.random.normal(key, shape, np.float32))
    flat = flattened(images)
    moved = np.repeat(flat[:, None], count, axis=1)
    for one in np.unique(labels):
        rows = np.flatnonzero(labels == one)
        centred = flat[rows] - flat[rows].mean(0)
        _, sizes, directions = np.linalg.svd(centred, full_matrices=False)
        kept = min(components, len(rows) - 1, len(sizes))
        steps = (sizes[:kept] / np.sqrt(len(rows)))[:, None] * directions[:kept]
        change = numbers[rows][..., :kept].astype(images.dtype) @ steps
        moved[rows] += change
    return moved.reshape(len(images), count, *images.shape[1:])
