r"""Hypergradients from values alone: evolution strategies.

They estimate the gradient of the smoothed loss, the mean of L(θ + σε) over
ε ~ N(0, I), from antithetic pairs. They need no derivative to exist, and the variance
does not explode with the length of the loop as the derivative of a chaotic one does.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxopt_lab.bilevel.checks import check_start
from jaxopt_lab.bilevel.hypergrad_unrolled import (
    Episode,
    Hypergradient,
    detached,
    window_losses,
)
from jaxopt_lab.bilevel.inner import Carry, InnerProblem, Theta
from jaxopt_lab.bilevel.linear_solve import scaled_sum, times
from jaxopt_lab.core.typing import PyTree, Scalar


class Particles(NamedTuple):
    """State of the antithetic pairs of persistent evolution strategies.

    Attributes:
      carries: the carries, with two leading axes ``(2, pairs)``: at θ + ε and θ - ε.
      total: the sum of a pair's perturbations so far, ``(pairs, ...)`` like θ.
      t: int32 scalar, ``t`` of the next step.
    """

    carries: Carry
    total: Theta
    t: jax.Array


def perturbations(key: jax.Array, theta: Theta, pairs: int, sigma: Scalar) -> Theta:
    """Independent normal perturbations of standard deviation ``sigma``.

    Args:
      key: typed key.
      theta: what is perturbed.
      pairs: how many.
      sigma: the standard deviation, of all coordinates.

    Returns:
      A tree like ``theta`` with a leading axis ``pairs``.
    """
    leaves, structure = jax.tree.flatten(theta)
    keys = jax.random.split(key, len(leaves))
    drawn = [
        times(sigma, jax.random.normal(k, (pairs, *x.shape), x.dtype))
        for k, x in zip(keys, leaves, strict=True)
    ]
    return jax.tree.unflatten(structure, drawn)


def both_sides(theta: Theta, eps: Theta) -> Theta:
    """``theta + eps`` and ``theta - eps``, leading axes ``(2, pairs)``.

    Args:
      theta: the point, leaves of any shape.
      eps: displacements, with a leading axis of pairs.

    Returns:
      The points, of the dtypes of ``theta``.
    """
    return jax.tree.map(lambda x, e: jnp.stack([x[None] + e, x[None] - e]), theta, eps)


def weighted_mean(losses: jax.Array, directions: Theta, sigma: Scalar) -> Any:
    r"""The estimate of the gradient and its standard error.

    .. math:: g_i = d_i \frac{L^+_i - L^-_i}{2 σ^2}

    Args:
      losses: ``(2, pairs)``.
      directions: d, a tree with the leading axis ``pairs``.
      sigma: of one perturbation.

    Returns:
      ``(mean of the g_i, standard deviation / sqrt(pairs))``; with a single pair the
      error is NaN.
    """
    pairs = losses.shape[1]

    def estimates(d: jax.Array) -> jax.Array:
        slope = (losses[0] - losses[1]).astype(d.dtype)
        slope = slope / (2 * jnp.asarray(sigma, d.dtype) ** 2)
        return d * slope.reshape(pairs, *(1,) * (d.ndim - 1))

    each = jax.tree.map(estimates, directions)
    mean = jax.tree.map(lambda g: jnp.mean(g, axis=0), each)
    error = jax.tree.map(lambda g: jnp.std(g, axis=0, ddof=1) / pairs**0.5, each)
    return mean, error


def _over_pairs(f: Any, in_axes: Any = 0) -> Any:
    return jax.vmap(jax.vmap(f, in_axes), in_axes)


def evolution(
    episode: Episode, theta: Theta, key: jax.Array, pairs: int, sigma: Scalar
) -> Hypergradient:
    """Evolution strategies over the whole loop.

    Args:
      episode: the loop.
      theta: outer parameters.
      key: typed key.
      pairs: number of antithetic pairs.
      sigma: standard deviation of the perturbations.

    Returns:
      ``(value at theta, gradient, {"carry", "standard_error"})``.
    """
    value, carry = episode.loss(theta, "none")
    eps = perturbations(key, theta, pairs, sigma)
    losses = _over_pairs(lambda theta: episode.loss(theta, "none")[0])(
        both_sides(theta, eps)
    )
    grad, error = weighted_mean(losses, eps, sigma)
    return value, grad, {"carry": detached(carry), "standard_error": error}


def persistent_evolution(
    episode: Episode, theta: Theta, key: jax.Array, pairs: int, sigma: Scalar
) -> Hypergradient:
    r"""Evolution strategies over one window of a longer loop, without its bias.

    A pair keeps its two carries from window to window and gets a new perturbation in
    each; its estimate weights the losses of this window by the *sum* of all its
    perturbations so far, so that the effect of earlier windows on this one is counted.

    Args:
      episode: the window; ``start`` is ``Particles`` or ``None``.
      theta: outer parameters.
      key: typed key, another one for each window.
      pairs: number of antithetic pairs.
      sigma: standard deviation of a window's perturbation.

    Returns:
      ``(mean loss of the particles, gradient, {"particles", "standard_error"})``.
    """
    inner = episode.inner
    eps = perturbations(key, theta, pairs, sigma)
    thetas = both_sides(theta, eps)
    if episode.start is None:
        carries = _over_pairs(inner.init)(thetas)
        before = jax.tree.map(jnp.zeros_like, eps)
        t = jnp.asarray(episode.t0, jnp.int32)
    else:
        carries, before, t = detached(episode.start)
    losses, carries = _over_pairs(
        lambda theta, carry: window_losses(inner, theta, carry, t, "none")
    )(thetas, carries)
    total = scaled_sum(before, 1, eps)
    grad, error = weighted_mean(losses, total, sigma)
    particles = Particles(carries, total, t + inner.n)
    info = {"particles": detached(particles), "standard_error": error}
    return jnp.mean(losses), grad, info


def check_particles(inner: InnerProblem, theta: Theta, start: Any, pairs: int) -> None:
    """Refuse a start that is not the particles of another window.

    Args:
      inner: the problem.
      theta: outer parameters.
      start: what was given.
      pairs: number of pairs asked for.

    Raises:
      InputError: it is something else, or of other shapes; the paths are named.
    """

    def fresh(theta: PyTree) -> Particles:
        eps = perturbations(jax.random.key(0), theta, pairs, 1.0)
        carries = _over_pairs(inner.init)(both_sides(theta, eps))
        return Particles(carries, eps, jnp.int32(0))

    check_start(start, jax.eval_shape(fresh, theta), "start (info['particles'])")
