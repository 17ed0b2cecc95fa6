"""Moves in a latent space: along directions, and up a loss in a ball."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.trees import accumulation_dtype
from jaxopt_lab.core.typing import Scalar

Decode = Callable[[jax.Array], jax.Array]


def ascend(
    losses: Callable[[jax.Array], jax.Array],
    start: jax.Array,
    *,
    radius: Scalar,
    steps: int,
    step_size: Scalar = 1.0,
) -> jax.Array:
    """Coefficients that go up the loss of each example, in a ball.

    Args:
      losses: ``losses(a) -> (B,)``.
      start: first a, ``(B, r)``.
      radius: of the ball.
      steps: their number.
      step_size: as a part of the radius.

    Returns:
      a, a constant to gradients; where the gradient is 0 it stays.

    >>> ascend(lambda a: a[:, 0], jnp.zeros((1, 2)), radius=2.0, steps=1).tolist()
    [[2.0, 0.0]]
    """
    wide = accumulation_dtype(start.dtype)
    bound, size = jnp.asarray(radius, wide), jnp.asarray(step_size, wide)

    def unit(g: jax.Array) -> tuple[jax.Array, jax.Array]:
        # Squares of tiny numbers are 0.
        largest = jnp.max(jnp.abs(g), axis=-1, keepdims=True)
        scaled = g / jnp.where(largest > 0, largest, 1)
        length = jnp.sqrt(jnp.sum(scaled**2, axis=-1, keepdims=True))
        return scaled / jnp.where(length > 0, length, 1), largest * length

    a = jax.lax.stop_gradient(start)
    for _ in range(steps):
        g = jax.grad(lambda a: jnp.sum(losses(a)))(a)
        up, _ = unit(g.astype(wide))
        new = a.astype(wide) + size * bound * up
        direction, length = unit(new)
        new = jnp.where(length > bound, bound * direction, new)
        a = jax.lax.stop_gradient(new.astype(a.dtype))
    return a


def natural_transformation(
    x: jax.Array,
    decode: Decode,
    latent: jax.Array,
    directions: jax.Array,
    coefficients: jax.Array,
) -> jax.Array:
    """Images moved along directions of a latent space: T of ``make_natra_step``.

    Args:
      x: images.
      decode: G.
      latent: e(x), ``(B, D)``.
      directions: U, ``(D, r)``.
      coefficients: a, ``(B, r)``.

    Returns:
      Of the shape of ``x``; x itself, exactly, at a = 0.

    Raises:
      InputError: the directions are of another latent space.

    >>> x = jnp.ones((1, 2))
    >>> u, a = jnp.eye(2)[:, :1], jnp.full((1, 1), 3.0)
    >>> natural_transformation(x, lambda z: z, x, u, a).tolist()
    [[4.0, 1.0]]
    """
    if directions.ndim != 2 or directions.shape[0] != latent.shape[-1]:
        raise InputError(
            f"directions have shape {directions.shape}; accepted: (D, r) for latents "
            f"of shape {latent.shape}"
        )
    way = (coefficients @ directions.T.astype(coefficients.dtype)).astype(latent.dtype)
    return x + (decode(latent + way) - decode(latent)).astype(x.dtype)


def principal_directions(latent: jax.Array, count: int) -> jax.Array:
    """The principal directions of latents, orthonormal columns.

    Args:
      latent: ``(B, D)``.
      count: r, their number; the batch must be larger.

    Returns:
      Shape ``(D, r)``.

    Raises:
      InputError: the batch is too small, or the space.

    >>> principal_directions(jnp.array([[0.0, 1.0], [0.0, 3.0]]), 1).shape
    (2, 1)
    """
    if not 1 <= count <= min(latent.shape[0] - 1, latent.shape[1]):
        raise InputError(
            f"{count} directions cannot be found from latents of shape {latent.shape}; "
            "accepted: fewer than examples, at most as many as dimensions"
        )
    wide = latent.astype(accumulation_dtype(latent.dtype))
    centred = wide - jnp.mean(wide, axis=0, keepdims=True)
    _, _, rows = jnp.linalg.svd(centred, full_matrices=False)
    return rows[:count].T.astype(latent.dtype)
