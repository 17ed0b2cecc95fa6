"""Random patches of images, and the score of an image by its patches."""
# Its examples wait for pytest --full.

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxopt_lab.core.checks import check_positive_count
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.trees import accumulation_dtype


class VaeOutputs(NamedTuple):
    """Everything that a variational autoencoder gives.

    Attributes:
      rebuilt: of the inputs, of their shape.
      generated: from noise of the prior, of the shape of the inputs.
      mean: of the posteriors, ``(B, latent)``.
      log_variance: likewise.
    """

    rebuilt: jax.Array
    generated: jax.Array
    mean: jax.Array
    log_variance: jax.Array


def check_vae_outputs(out: Any, x: jax.Array) -> VaeOutputs:
    """Refuse outputs of another kind or shape.

    Args:
      out: of a network.
      x: its inputs.

    Returns:
      The outputs.

    Raises:
      InputError: they are no ``VaeOutputs``, or their shapes do not fit.

    >>> x = jnp.ones((2, 3))
    >>> check_vae_outputs(VaeOutputs(x, x, x, x), x) is None
    False
    """
    if not isinstance(out, VaeOutputs):
        raise InputError(f"the vae must give VaeOutputs; got {type(out).__name__}")
    shapes = {name: jnp.shape(getattr(out, name)) for name in out._fields}
    like_inputs = shapes["rebuilt"] == shapes["generated"] == x.shape
    latents = shapes["mean"] == shapes["log_variance"]
    if not like_inputs or not latents or shapes["mean"][:1] != x.shape[:1]:
        raise InputError(
            f"the vae gives outputs of shapes {shapes} for patches {x.shape}; "
            "accepted: rebuilt and generated like them, mean and log_variance alike"
        )
    return out


def gaussian_kl(mean: jax.Array, log_variance: jax.Array) -> jax.Array:
    r"""The divergence of normal posteriors from the standard normal prior.

    .. math:: \frac 1B \sum_i \sum_j \tfrac 12 \left( \mu_{ij}^2 + e^{v_{ij}} - 1 -
        v_{ij} \right)

    Args:
      mean: ``(B, latent)``.
      log_variance: v, likewise.

    Returns:
      A scalar, float32 or float64; 0 for the prior itself.

    >>> float(gaussian_kl(jnp.zeros((2, 3)), jnp.zeros((2, 3))))
    0.0
    """
    wide = accumulation_dtype(mean.dtype)
    mu, v = mean.astype(wide), log_variance.astype(wide)
    return jnp.mean(jnp.sum(mu * mu + jnp.expm1(v) - v, axis=-1) / 2)


def random_patches(
    key: jax.Array, images: jax.Array, *, patches: int, size: int
) -> jax.Array:
    """Square parts of images at random places.

    Args:
      key: typed PRNG key.
      images: ``(N, H, W, C)``.
      patches: of each image.
      size: of their sides; at most those of the images.

    Returns:
      ``(N patches, size, size, C)``, one image after the other.

    Raises:
      InputError: the images have other axes or are smaller than a patch, or a number is
        below 1.

    >>> x = jnp.arange(2.0).reshape(2, 1, 1, 1) * jnp.ones((2, 5, 4, 3))
    >>> random_patches(jax.random.key(0), x, patches=2, size=3)[:, 0, 0, 0].tolist()
    [0.0, 0.0, 1.0, 1.0]
    """
    check_positive_count("patches", patches)
    check_positive_count("size", size)
    if images.ndim != 4 or size > min(images.shape[1:3]):
        raise InputError(
            f"random_patches takes images (N, H, W, C) of at least {size} x {size}; "
            f"got {images.shape}"
        )
    count, height, width, channels = images.shape
    keys = jax.random.split(key)
    rows, columns = (
        jax.random.randint(k, (count * patches,), 0, side - size + 1, jnp.int32)
        for k, side in zip(keys, (height, width), strict=True)
    )
    number = jnp.repeat(jnp.arange(count, dtype=jnp.int32), patches)

    def cut(i: jax.Array, row: jax.Array, column: jax.Array) -> jax.Array:
        zero = jnp.zeros((), jnp.int32)
        shape = (1, size, size, channels)
        return jax.lax.dynamic_slice(images, (i, row, column, zero), shape)[0]

    return jax.vmap(cut)(number, rows, columns)


def patch_score(logits: jax.Array, *, per_image: int) -> jax.Array:
    r"""The score of each image, larger the less its patches are held to be real.

    .. math:: s = 1 - \frac 1P \sum_p \sigma(D(x_p))

    Args:
      logits: of a discriminator, ``(N P,)`` or ``(N P, 1)``, one image after the other.
      per_image: P, patches of each.

    Returns:
      ``(N,)``, float32 or float64, from 0 to 1.

    Raises:
      InputError: the logits cannot be divided among images.

    >>> patch_score(jnp.zeros(4), per_image=2).tolist()
    [0.5, 0.5]
    """
    check_positive_count("per_image", per_image)
    count = jnp.shape(logits)[0] if jnp.ndim(logits) else 0
    if jnp.shape(logits) not in ((count,), (count, 1)) or not count:
        raise InputError(
            f"patch_score takes logits (N,) or (N, 1); got {jnp.shape(logits)}"
        )
    if count % per_image:
        raise InputError(
            f"{count} patches cannot be divided among images of per_image={per_image}"
        )
    wide = logits.astype(accumulation_dtype(logits.dtype)).reshape(-1, per_image)
    # The probability of the other side: 1 - sigmoid loses digits near 1.
    return jnp.mean(jax.nn.sigmoid(-wide), axis=1)
