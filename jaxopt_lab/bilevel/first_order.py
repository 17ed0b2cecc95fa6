"""Derivatives of a training run that take its gradients as constants."""

from __future__ import annotations

from typing import Any

import jax
import optax

from jaxopt_lab.core.gradients import MappedGradFn
from jaxopt_lab.core.typing import GradFn, Params, Updates


def constant_gradient(
    inner: optax.GradientTransformation,
) -> optax.GradientTransformationExtraArgs:
    """The same transformation, for which every gradient is a constant.

    For a step ``w' = u(w, g(w), g(w + e))`` the derivatives with respect to ``w`` and
    to hyper-parameters are those of ``u`` alone: the Hessian of the loss is left out,
    as first-order MAML does. The gradient itself, ``grad_fn`` (shards and examples
    included) and ``value`` are stopped; weights, decay and learning rates keep their
    derivatives.

    Args:
      inner: any transformation, a whole chain too.

    Returns:
      The wrapper. Values and state are those of ``inner``.

    Memory and gradient evaluations: those of ``inner``; the reverse pass through an
    unroll of it needs no second derivative of the loss.

    >>> tx = constant_gradient(optax.sgd(0.5))
    >>> def step(w):
    ...     return w + tx.update(jax.grad(lambda w: w**2)(w), tx.init(w), w)[0]
    >>> float(step(3.0)), float(jax.grad(step)(3.0))
    (0.0, 1.0)

    Reference: Finn, Abbeel & Levine, Model-agnostic meta-learning for fast adaptation
    of deep networks, 2017 (section 5.2).
    """
    chain = optax.with_extra_args_support(inner)

    def update_fn(
        updates: Updates,
        state: optax.OptState,
        params: Params | None = None,
        **extra: Any,
    ) -> tuple[Updates, optax.OptState]:
        stopped = jax.lax.stop_gradient(updates)
        if extra.get("grad_fn") is not None:
            extra["grad_fn"] = _constant_grad_fn(extra["grad_fn"], updates, stopped)
        for name in ("value", "grad"):
            if extra.get(name) is not None:
                extra[name] = jax.lax.stop_gradient(extra[name])
        return chain.update(stopped, state, params, **extra)

    return optax.GradientTransformationExtraArgs(chain.init, update_fn)


def _constant_grad_fn(grad_fn: GradFn, updates: Updates, stopped: Updates) -> GradFn:
    """``grad_fn`` whose gradients and losses are constants."""
    pairs = zip(jax.tree.leaves(stopped), jax.tree.leaves(updates), strict=True)
    originals = [(one, original) for one, original in pairs]

    def original(leaf: jax.Array) -> jax.Array:
        # The train step tells by identity whether a transform stood in front.
        return next((was for one, was in originals if one is leaf), leaf)

    return MappedGradFn(
        grad_fn,
        wrap=lambda fn: lambda *args: jax.lax.stop_gradient(fn(*args)),
        on_updates=lambda given: jax.tree.map(original, given),
    )
