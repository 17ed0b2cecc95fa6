"""Losses of denoising without clean images: blind spots, downsampled invariance."""

from __future__ import annotations

from typing import Annotated

import jax
import jax.numpy as jnp

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.options import COUNT, NON_NEGATIVE, check_arguments
from jaxopt_lab.core.trees import accumulation_dtype
from jaxopt_lab.core.typing import Scalar
from jaxopt_lab.core.where import or_zero
from jaxopt_lab.losses.targets import check_floats, check_shape


def random_subsample(
    key: jax.Array,
    images: jax.Array,
    *others: jax.Array,
    factor: Annotated[int, COUNT] = 2,
) -> tuple[jax.Array, ...]:
    """One pixel of every cell of images, drawn for each cell by itself.

    Noise that neighbours share is decorrelated without the aliasing of a fixed grid.
    The same key and factor choose the same pixels.

    Args:
      key: for the draw.
      images: ``(B, H, W, C)``.
      *others: of the same leading axes, from which the same pixels are taken.
      factor: side of the cells, which divides height and width.

    Returns:
      ``(choices, images, *others)``: whole numbers from 0 to ``factor^2 - 1``, row by
      row in the cell, ``(B, H / factor, W / factor)``; and the chosen pixels, ``(B, H /
      factor, W / factor, C)``.

    Raises:
      InputError: the factor does not divide the sides, or shapes differ.

    Source: Jang, Kim, Lee and Cho, arXiv:2304.09507. Code read: jyicu/CBSN.

    >>> _, small = random_subsample(jax.random.key(0), jnp.ones((1, 4, 6, 1)))
    >>> small.shape
    (1, 2, 3, 1)
    """
    check_arguments(random_subsample, {"factor": factor})
    b, h, w = images.shape[:3]
    _check_cells(images, factor)
    shape = (b, h // factor, w // factor)
    choices = jax.random.randint(key, shape, 0, factor * factor, jnp.int32)
    return choices, *(subsample(x, choices, factor=factor) for x in (images, *others))


def subsample(
    images: jax.Array, choices: jax.Array, *, factor: Annotated[int, COUNT] = 2
) -> jax.Array:
    """The chosen pixel of every cell of images.

    Args:
      images: ``(B, H, W, C)``.
      choices: whole numbers ``(B, H / factor, W / factor)``, as of
        ``random_subsample``.
      factor: side of the cells.

    Returns:
      ``(B, H / factor, W / factor, C)``, of the type of ``images``.

    Raises:
      InputError: shapes do not belong together.

    >>> x = jnp.arange(8.0).reshape(1, 2, 4, 1)
    >>> subsample(x, jnp.array([[[0, 3]]])).ravel().tolist()
    [0.0, 7.0]
    """
    check_arguments(subsample, {"factor": factor})
    _check_cells(images, factor)
    b, h, w, c = images.shape
    check_shape("choices", choices, (b, h // factor, w // factor))
    cells = images.reshape(b, h // factor, factor, w // factor, factor, c)
    cells = cells.transpose(0, 1, 3, 2, 4, 5)
    cells = cells.reshape(b, h // factor, w // factor, factor * factor, c)
    return jnp.take_along_axis(cells, choices[..., None, None], axis=3)[..., 0, :]


def downsampled_invariance(
    unmasked: jax.Array,
    masked_of_sub: jax.Array,
    *,
    choices: jax.Array,
    where: jax.Array | None = None,
) -> jax.Array:
    r"""Distance of a denoised image, subsampled, from the denoised subsampled image.

    .. math:: \operatorname{mean} |S f(x) - \operatorname{sg} g(S x)|

    for a denoiser f that sees all pixels, its blind form g and one random subsampling
    S. An f that copies its input is far from g, which cannot; so f learns to denoise
    without a blind spot.

    Args:
      unmasked: f(x), ``(B, H, W, C)``.
      masked_of_sub: g(S x), ``(B, H / n, W / n, C)``; constant.
      choices: S, of ``random_subsample(key, x)``.
      where: ``(B,)``; 0 drops an example.

    Returns:
      ``(B,)``, float32 or float64. Kept for the gradient: signs and choices.

    Raises:
      InputError: shapes do not belong together.

    Source: Jang, Kim, Lee and Cho, "Self-supervised Image Denoising with Downsampled
    Invariance Loss and Conditional Blind-Spot Network", arXiv:2304.09507. Code read:
    jyicu/CBSN.

    >>> f, g = jnp.arange(4.0).reshape(1, 2, 2, 1), jnp.ones((1, 1, 1, 1))
    >>> downsampled_invariance(f, g, choices=jnp.array([[[3]]])).tolist()
    [2.0]
    """
    check_floats("unmasked", unmasked, 4)
    check_floats("masked_of_sub", masked_of_sub, 4)
    factor = unmasked.shape[1] // max(masked_of_sub.shape[1], 1)
    small = subsample(unmasked, choices, factor=max(factor, 1))
    check_shape("masked_of_sub", masked_of_sub, small.shape)
    return _distance(small, jax.lax.stop_gradient(masked_of_sub), where)


def blind_spot_loss(
    outputs: jax.Array,
    noisy: jax.Array,
    *,
    unmasked: jax.Array,
    masked_of_sub: jax.Array,
    choices: jax.Array,
    strength: Annotated[Scalar, NON_NEGATIVE] = 1.0,
    invariance: Annotated[Scalar, NON_NEGATIVE] = 2.0,
    where: jax.Array | None = None,
) -> jax.Array:
    r"""Loss of a conditional blind-spot network on noisy images alone (C-BSN).

    .. math:: |g(x) - x| + s \big( |f(x) - x| + \lambda\, |S f(x) - \operatorname{sg}
        g(S x)| \big),

    means over the pixels, for the blind form g and the seeing form f of one network.

    Args:
      outputs: g(x), ``(B, H, W, C)``; for noise that neighbours share, of
        ``batch_to_space(g(space_to_batch(x, 5)), 5)``.
      noisy: x; constant.
      unmasked: f(x).
      masked_of_sub: g(S x), ``(B, H / n, W / n, C)``; constant.
      choices: S, of ``random_subsample(key, x)``.
      strength: s; 0 is the blind-spot loss, 1 at last: it grows from 0 to 1 over the
        first two fifths of the training in the code.
      invariance: :math:`\lambda`.
      where: ``(B,)``; 0 drops an example.

    Returns:
      ``(B,)``, float32 or float64. Kept for the gradient: signs and choices.

    Raises:
      InputError: shapes do not belong together, or an option is out of range.

    Source: Jang, Kim, Lee and Cho, "Self-supervised Image Denoising with Downsampled
    Invariance Loss and Conditional Blind-Spot Network", arXiv:2304.09507. Code read:
    jyicu/CBSN.

    >>> x, small = jnp.ones((1, 2, 2, 1)), jnp.zeros((1, 1, 1, 1))
    >>> given = {"masked_of_sub": small, "choices": jnp.zeros((1, 1, 1), jnp.int32)}
    >>> blind_spot_loss(0 * x, x, unmasked=x, **given).tolist()
    [3.0]
    """
    weights = {"strength": strength, "invariance": invariance}
    check_arguments(blind_spot_loss, weights)
    check_floats("outputs", outputs, 4)
    for name, x in (("noisy", noisy), ("unmasked", unmasked)):
        check_floats(name, x, 4)
        check_shape(name, x, outputs.shape)
    x = jax.lax.stop_gradient(noisy)
    blind = _distance(outputs, x, where)
    near = downsampled_invariance(
        unmasked, masked_of_sub, choices=choices, where=where
    ).astype(blind.dtype)
    seeing = _distance(unmasked, x, where).astype(blind.dtype)
    s, weight = (jnp.asarray(value, blind.dtype) for value in weights.values())
    return blind + s * (seeing + weight * near)


def absolute_error(outputs: jax.Array, noisy: jax.Array) -> jax.Array:
    """Mean absolute difference, the loss of a blind-spot network.

    Args:
      outputs: ``(B, H, W, C)``.
      noisy: of the same shape.

    Returns:
      ``(B,)``.
    """
    return jnp.mean(jnp.abs(outputs - noisy), axis=(1, 2, 3))


def _distance(a: jax.Array, b: jax.Array, where: jax.Array | None) -> jax.Array:
    wide = accumulation_dtype(jnp.promote_types(a.dtype, b.dtype))
    if where is not None:
        check_shape("where", where, a.shape[:1])
        a, b = or_zero(a, where), or_zero(b, where)
    return jnp.mean(jnp.abs(a.astype(wide) - b.astype(wide)), axis=(1, 2, 3))


def _check_cells(images: jax.Array, factor: int) -> None:
    if images.ndim != 4 or images.shape[1] % factor or images.shape[2] % factor:
        raise InputError(
            f"factor must divide height and width of images (B, H, W, C); got "
            f"{images.shape} and factor={factor}"
        )
