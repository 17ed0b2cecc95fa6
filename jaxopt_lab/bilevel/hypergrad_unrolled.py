"""Hypergradients through the unrolled loop: reverse, forward and one-step mode."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp

from jaxopt_lab.bilevel.checkpointed_scan import Remat, checkpointed_scan
from jaxopt_lab.bilevel.inner import Carry, InnerProblem, Theta, Weights
from jaxopt_lab.bilevel.linear_solve import cast_like
from jaxopt_lab.core.typing import PyTree

Outer: TypeAlias = Callable[[Theta, Weights], jax.Array]
Hypergradient: TypeAlias = tuple[jax.Array, Theta, dict[str, Any]]


class Episode(NamedTuple):
    """The loop of one call: problem, start and checkpointing.

    Attributes:
      outer: the outer loss, or ``None`` for the sum of ``inner.window_loss``.
      inner: the problem.
      start: the carry to go on from, or ``None`` for ``inner.init(theta)``.
      t0: ``t`` of the first step.
      remat: what a reverse pass stores.
    """

    outer: Outer | None
    inner: InnerProblem
    start: Carry | None
    t0: int | jax.Array
    remat: Remat

    def first(self, theta: Theta) -> Carry:
        """The carry of the first step; one that was given is held constant."""
        if self.start is None:
            return jax.tree.map(jnp.asarray, self.inner.init(theta))
        return detached(self.start)

    def last(self, theta: Theta, remat: Remat | None = None) -> Carry:
        """The carry after all steps."""
        return checkpointed_scan(
            lambda carry, t: self.inner.step(theta, carry, t),
            self.first(theta),
            self.inner.n,
            remat=self.remat if remat is None else remat,
            start=self.t0,
        )

    def loss(self, theta: Theta, remat: Remat | None = None) -> tuple[jax.Array, Carry]:
        """The outer loss, and the carry after all steps."""
        if self.outer is not None:
            carry = self.last(theta, remat)
            return self.outer(theta, self.inner.read(carry)), carry
        return window_losses(
            self.inner,
            theta,
            self.first(theta),
            self.t0,
            self.remat if remat is None else remat,
        )


def window_losses(
    inner: InnerProblem,
    theta: Theta,
    carry: Carry,
    t0: int | jax.Array,
    remat: Remat,
) -> tuple[jax.Array, Carry]:
    """The sum of the losses of ``inner.n`` steps, and the carry after them.

    Args:
      inner: a problem with ``window_loss``.
      theta: outer parameters.
      carry: the first step's.
      t0: ``t`` of the first step.
      remat: what a reverse pass stores.

    Returns:
      ``(sum, carry)``.
    """
    assert inner.window_loss is not None
    loss = inner.window_loss
    t = jnp.asarray(t0, jnp.int32)
    zero = jnp.zeros((), jax.eval_shape(loss, theta, carry, t).dtype)

    def step(state: tuple[Carry, jax.Array], t: jax.Array) -> Any:
        carry = inner.step(theta, state[0], t)
        return carry, state[1] + loss(theta, carry, t)

    carry, total = checkpointed_scan(
        step, (carry, zero), inner.n, remat=remat, start=t0
    )
    return total, carry


def detached(tree: PyTree) -> PyTree:
    """The same values with stopped gradients.

    Args:
      tree: of arrays or numbers.

    Returns:
      The tree.
    """
    return jax.tree.map(lambda x: jax.lax.stop_gradient(jnp.asarray(x)), tree)


def reverse(episode: Episode, theta: Theta) -> Hypergradient:
    """The derivative of the loop by one reverse pass through it.

    Args:
      episode: the loop.
      theta: outer parameters.

    Returns:
      ``(value, gradient, {"carry"})``.
    """
    (value, carry), grad = jax.value_and_grad(episode.loss, has_aux=True)(theta)
    return value, grad, {"carry": detached(carry)}


def forward(episode: Episode, theta: Theta) -> Hypergradient:
    """The derivative of the loop by a tangent for each coordinate of ``theta``.

    Args:
      episode: the loop; nothing is stored of it, whatever its ``remat``.
      theta: outer parameters.

    Returns:
      ``(value, gradient, {"carry"})``.
    """

    def run(theta: Theta) -> tuple[jax.Array, tuple[jax.Array, Carry]]:
        value, carry = episode.loss(theta, "none")
        return value, (value, carry)

    grad, (value, carry) = jax.jacfwd(run, has_aux=True)(theta)
    # Tangents have the dtype of the loss, not that of the perturbed leaf.
    grad = cast_like(grad, theta)
    return value, grad, {"carry": detached(carry)}


def one_step(episode: Episode, theta: Theta) -> Hypergradient:
    """The derivative of the last step alone, the carry before it held constant.

    Args:
      episode: the loop, with an outer loss.
      theta: outer parameters.

    Returns:
      ``(value, gradient, {"carry"})``.
    """
    before = before_last(episode, theta)
    of_last = jax.value_and_grad(
        lambda theta: last_step_loss(episode, theta, before), has_aux=True
    )
    (value, carry), grad = of_last(theta)
    return value, grad, {"carry": detached(carry)}


def before_last(episode: Episode, theta: Theta) -> Carry:
    """The input carry of the last step, held constant.

    Args:
      episode: the run.
      theta: the hyper-parameters.

    Returns:
      The carry; of a run of one step the first one.
    """
    if episode.inner.n == 1:
        return detached(episode.first(theta))
    shorter = episode._replace(inner=episode.inner.replace(n=episode.inner.n - 1))
    return detached(shorter.last(detached(theta)))


def last_step_loss(
    episode: Episode, theta: Theta, carry: Carry
) -> tuple[jax.Array, Carry]:
    """The outer loss as a function of ``theta`` through the last step alone.

    Args:
      episode: the run; it has an outer loss.
      theta: the hyper-parameters.
      carry: input of the last step.

    Returns:
      The loss, a scalar, and the carry after the step.
    """
    assert episode.outer is not None
    t = jnp.asarray(episode.t0, jnp.int32) + (episode.inner.n - 1)
    carry = episode.inner.step(theta, carry, t)
    return episode.outer(theta, episode.inner.read(carry)), carry
