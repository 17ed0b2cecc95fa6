"""Samples of a denoiser by DDIM."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import jax
import jax.numpy as jnp
import numpy as np

from jaxopt_lab.core.checks import check_integer
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.options import COUNT, check_arguments


def linear_alphas(count: int = 1000, first: float = 1e-4, last: float = 0.02):
    """Cumulative signals of linearly growing noise.

    Args:
      count: number of times.
      first: noise of the first.
      last: noise of the last.

    Returns:
      ``(count,)`` of NumPy, falling.

    >>> linear_alphas().shape, f"{linear_alphas()[0]:.4f}"
    ((1000,), '0.9999')
    """
    check_integer("count", count, low=1)
    return np.cumprod(1 - np.linspace(first, last, count))


def ddim_sample(
    denoise: Callable[[jax.Array, jax.Array], jax.Array],
    key: jax.Array,
    shape: tuple[int, ...],
    *,
    alphas: np.ndarray | None = None,
    steps: Annotated[int, COUNT] = 10,
    dtype: jax.typing.DTypeLike = jnp.float32,
) -> jax.Array:
    r"""Samples from noise, without new noise on the way (DDIM).

    Args:
      denoise: ``denoise(x_t, alpha) -> x_0``.
      key: typed PRNG key of the noise at the start.
      shape: of the samples.
      alphas: cumulative signals by time, falling; ``None``: those of linear noise from
        1e-4 to 0.02 over 1000 times.
      steps: number of calls.
      dtype: of the samples.

    Returns:
      The samples: with :math:`e = (x_t - \sqrt a \hat x_0) / \sqrt{1 - a}` the next is
      :math:`\sqrt{a'} \hat x_0 + \sqrt{1 - a'} e`, the last :math:`\hat x_0`.

    Raises:
      InputError: ``steps`` is out of range.

    >>> still = lambda x, alpha: jnp.zeros_like(x)
    >>> ddim_sample(still, jax.random.key(0), (1, 2)).tolist()
    [[0.0, 0.0]]
    """
    check_arguments(ddim_sample, {"steps": steps})
    known = linear_alphas() if alphas is None else np.asarray(alphas)
    if known.ndim != 1 or steps > len(known):
        raise InputError(
            f"steps must be at most the number of alphas, {known.size}; got {steps}"
        )
    times = np.round(np.linspace(len(known) - 1, 0, steps)).astype(int)
    now = known[times]
    following = np.append(now[1:], 1.0)
    pairs = jnp.asarray(np.stack([now, following], axis=1), dtype)

    def step(x: jax.Array, pair: jax.Array) -> tuple[jax.Array, None]:
        a, after = pair
        clean = denoise(x, a).astype(x.dtype)
        left = 1 - a
        noise = (x - jnp.sqrt(a) * clean) / jnp.sqrt(jnp.where(left > 0, left, 1))
        return jnp.sqrt(after) * clean + jnp.sqrt(1 - after) * noise, None

    start = jax.random.normal(key, shape, dtype)
    return jax.lax.scan(step, start, pairs)[0]
