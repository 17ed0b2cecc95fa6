"""Growth of the adjoint of a run, and how far back a reverse pass is to be trusted."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxopt_lab.bilevel.hypergrad_unrolled import Episode, Hypergradient, detached
from jaxopt_lab.bilevel.inner import Carry, Theta
from jaxopt_lab.core import trees


class Health(NamedTuple):
    """Health of a reverse pass over n steps.

    Attributes:
      adjoint_norm: ``(n,)``, norm of the derivative of the outer loss in the carry that
        enters each step.
      growth: ``(n,)``, the same over its value at the last step.
      horizon: int32 scalar, number of last steps over which the growth stays below
        :math:`1 / \\sqrt{\\epsilon}`, eps that of the carry's type.
    """

    adjoint_norm: jax.Array
    growth: jax.Array
    horizon: jax.Array


def reverse_with_health(episode: Episode, theta: Theta) -> Hypergradient:
    r"""``reverse``, with the norm of the adjoint at every step.

    A rounding of relative size :math:`\epsilon` in step t moves the end of the run by
    about :math:`\epsilon` times the growth of the adjoint from the end back to t. Where
    that exceeds :math:`\sqrt{\epsilon}` half of the digits are lost: the run is chaotic
    over that many steps, and its derivative, though exact for the recorded path, is
    neither that of the run in exact arithmetic nor a useful slope of the loss.

    Args:
      episode: the loop.
      theta: outer parameters.

    Returns:
      ``(value, gradient, {"carry", "health"})``. Beyond a reverse pass it costs n
      numbers.
    """
    n, t0 = episode.inner.n, jnp.asarray(episode.t0, jnp.int32)
    dtype, eps = _accuracy(jax.eval_shape(episode.first, theta))

    def loss(theta: Theta, slots: jax.Array) -> tuple[jax.Array, Carry]:
        def step(theta: Theta, carry: Carry, t: jax.Array) -> Carry:
            return episode.inner.step(theta, _tapped(carry, slots[t - t0]), t)

        tapped = episode.inner.replace(step=step)
        return episode._replace(inner=tapped).loss(theta)

    slots = jnp.zeros((n,), dtype)
    of_both = jax.value_and_grad(loss, argnums=(0, 1), has_aux=True)
    (value, carry), (grad, norms) = of_both(theta, slots)
    growth = trees.safe_divide(norms, norms[-1])
    fine = growth <= 1 / jnp.sqrt(eps)  # false for NaN
    horizon = jnp.sum(jnp.cumprod(fine[::-1].astype(jnp.int32)), dtype=jnp.int32)
    health = Health(*(jax.lax.stop_gradient(x) for x in (norms, growth, horizon)))
    return value, grad, {"carry": detached(carry), "health": health}


def _accuracy(carry: Carry) -> tuple[jnp.dtype, float]:
    """The type of norms of the carry, and the largest eps of its leaves."""
    types = [x.dtype for x in jax.tree.leaves(carry) if trees.is_floating(x)]
    types = types or [jnp.zeros(()).dtype]
    wide = jnp.result_type(*map(trees.accumulation_dtype, types))
    return wide, max(float(jnp.finfo(dtype).eps) for dtype in types)


def _tapped(carry: Carry, slot: jax.Array) -> Carry:
    """The carry; the norm of its cotangent becomes the cotangent of ``slot``."""
    leaves, structure = jax.tree.flatten(carry)
    moving = [i for i, x in enumerate(leaves) if trees.is_floating(x)]
    passed = _tap([jnp.asarray(leaves[i]) for i in moving], slot)
    for i, x in zip(moving, passed, strict=True):
        leaves[i] = x
    return jax.tree.unflatten(structure, leaves)


@jax.custom_vjp
def _tap(leaves: list[jax.Array], slot: jax.Array) -> list[jax.Array]:
    del slot
    return leaves


def _tap_forward(
    leaves: list[jax.Array], slot: jax.Array
) -> tuple[list[jax.Array], jax.Array]:
    return leaves, jnp.zeros_like(slot)


def _tap_backward(
    zero: jax.Array, cotangents: list[jax.Array]
) -> tuple[list[jax.Array], jax.Array]:
    return cotangents, zero + trees.global_norm(cotangents).astype(zero.dtype)


_tap.defvjp(_tap_forward, _tap_backward)
