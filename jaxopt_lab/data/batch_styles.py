"""Batch styles standardisation: low frequencies of all images from one of the batch."""
# Its examples wait for pytest --full.

from __future__ import annotations

from typing import Annotated

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from jaxopt_lab.core import trees
from jaxopt_lab.core.entries import check_entries
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.numbers import known_number
from jaxopt_lab.core.options import STATIC, UNIT, check_arguments
from jaxopt_lab.core.pixels import to_float
from jaxopt_lab.core.shapes import refuse_empty
from jaxopt_lab.core.typing import Batch, Scalar
from jaxopt_lab.data.batches import Augment


def batch_styles(
    mix: Annotated[Scalar, UNIT] = 1.0,
    *,
    ratio: Annotated[float, UNIT, STATIC] = 0.1,
    second: str = "",
) -> Augment:
    r"""Give all images of a batch the low-frequency amplitudes of one of them.

    One image r of the batch is drawn, and every image becomes that of
    ``standardise_styles``.

    Args:
      mix: strength, in [0, 1]; 0 changes nothing.
      ratio: side of the block of low frequencies, as a part of the spectrum's. 0 is the
        mean of the pixels alone; above 0 the block is at least 3 x 3. The default is
        meant for 224 pixels.
      second: entry for a second view of the images, with an image r of its own, for
        contrastive losses; empty: none.

    Returns:
      ``(key, batch) -> batch``, on images ``(B, H, W, ...)``; integers become float32
      between 0 and 1, divided by 255. Pixels may leave that range: cutting them off
      would change the amplitudes again.

    Raises:
      InputError: an option is out of range; at the call, there are no images in the
        batch.

    Cost: two Fourier transforms an image; each view has one more.

    >>> batch = {"image": jnp.arange(32.0).reshape(2, 4, 4)}
    >>> same = batch_styles(ratio=0.0)(jax.random.key(0), batch)["image"]
    >>> bool(jnp.allclose(same[0].mean(), same[1].mean()))
    True

    Source: Scalbert, Vakalopoulou and Couzinie-Devy, "Towards Domain-Invariant
    Self-Supervised Learning with Batch Styles Standardization", arXiv:2303.06088; from
    the abstract, constants are ours.
    """
    check_arguments(batch_styles, locals())

    def transform(key: jax.Array, batch: Batch) -> Batch:
        check_entries(batch, ("image",), "restyle")
        still = known_number(mix) == 0
        if still:
            return {**batch, second: batch["image"]} if second else batch
        images = to_float(batch["image"])
        refuse_empty("image", images)
        chosen = jax.random.randint(key, (2,), 0, images.shape[0], jnp.int32)
        first = standardise_styles(images, chosen[0], ratio=ratio, mix=mix)
        if not second:
            return {**batch, "image": first}
        other = standardise_styles(images, chosen[1], ratio=ratio, mix=mix)
        return {**batch, "image": first, second: other}

    return transform


def standardise_styles(
    images: jax.Array, index: ArrayLike, *, ratio: float = 0.1, mix: Scalar = 1.0
) -> jax.Array:
    r"""Images with the low-frequency amplitudes of one of them.

    With the Fourier transform :math:`F = A e^{i P}` of every channel and a block M of
    low frequencies,

    .. math::
        \tilde x = \mathcal{F}^{-1} [(A + \lambda M (A_r - A)) \, e^{i P}], \quad
        M_{uv} = 1 \text{ for } |u| \le \mathrm{round}(\rho H / 2), \;
                              |v| \le \mathrm{round}(\rho W / 2).

    The block is symmetric about the mean, so that the result is real; at F = 0 the
    phase is 0. Only the difference is transformed back: image r, and all images at
    :math:`\lambda = 0`, stay as they are to the bit.

    Args:
      images: x, floating, ``(B, H, W, ...)``.
      index: r.
      ratio: :math:`\rho`, in [0, 1], as in ``batch_styles``.
      mix: :math:`\lambda`, in [0, 1].

    Returns:
      Of the shape and type of ``images``; transforms are float32 or float64.

    Raises:
      InputError: the images have another type or shape.

    >>> images = jnp.stack([jnp.eye(4), 3 * jnp.eye(4)])
    >>> same = standardise_styles(images, 0, ratio=1.0)
    >>> bool(jnp.allclose(same[1], jnp.eye(4), atol=1e-6))
    True
    """
    if images.ndim < 3 or not trees.is_floating(images):
        raise InputError(
            f"images to restyle are {images.dtype} of shape {images.shape}; accepted: "
            "floats of shape (B, H, W, ...)"
        )
    change = _change_of_spectrum(images, index, ratio, mix)
    moved = jnp.fft.ifft2(change, axes=(1, 2)).real
    return (images.astype(moved.dtype) + moved).astype(images.dtype)


def _change_of_spectrum(
    images: jax.Array, index: ArrayLike, ratio: float, mix: Scalar
) -> jax.Array:
    wide = images.astype(trees.accumulation_dtype(images.dtype))
    spectrum = jnp.fft.fft2(wide, axes=(1, 2))
    square = spectrum.real**2 + spectrum.imag**2
    # Roots and quotients at 0 have no derivative.
    there = square > 0
    amplitude = trees.safe_sqrt(square)
    divisor = jnp.where(there, amplitude, 1).astype(spectrum.dtype)
    phase = jnp.where(there, spectrum / divisor, jnp.ones((), spectrum.dtype))
    part = jnp.asarray(mix, amplitude.dtype) * (amplitude[index][None] - amplitude)
    height, width = images.shape[1:3]
    block = _low(height, width, ratio)
    block = block.reshape(1, height, width, *(1,) * (images.ndim - 3))
    return jnp.where(block, part, 0).astype(spectrum.dtype) * phase


def _low(height: int, width: int, ratio: float) -> np.ndarray:
    """The block of low frequencies, symmetric about the mean, ``(H, W)``."""

    def within(size: int) -> np.ndarray:
        half = max(round(ratio * size / 2), 1) if ratio else 0
        return np.abs(np.fft.fftfreq(size, 1 / size)) <= half

    return within(height)[:, None] & within(width)[None, :]
