"""Derivatives of a training run that take its gradients as constants."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import optax

from jaxopt_lab.core.typing import GradFn, Params, Shards, Updates


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
            extra["grad_fn"] = _ConstantGradFn(extra["grad_fn"], updates, stopped)
        if extra.get("value") is not None:
            extra["value"] = jax.lax.stop_gradient(extra["value"])
        return chain.update(stopped, state, params, **extra)

    return optax.GradientTransformationExtraArgs(chain.init, update_fn)


class _ConstantGradFn:
    """A gradient function whose results are constants.

    What the wrapped one does not have, this one does not have either: links ask by
    ``hasattr`` whether it knows its batch.
    """

    def __init__(self, grad_fn: GradFn, updates: Updates, stopped: Updates) -> None:
        self._grad_fn = grad_fn
        pairs = zip(jax.tree.leaves(stopped), jax.tree.leaves(updates), strict=True)
        self._originals = [(one, original) for one, original in pairs]

    def __call__(self, params: Params, i: int | jax.Array = 0) -> Updates:
        return jax.lax.stop_gradient(self._grad_fn(params, i))

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._grad_fn, name)
        if name == "shard":
            return lambda num_shards: _ConstantShards(found(num_shards))
        if name in ("example_losses", "on_examples"):
            return lambda *args: jax.lax.stop_gradient(found(*args))
        if name == "received":
            return lambda link, updates, params: found(
                link, jax.tree.map(self._original, updates), params
            )
        return found

    def _original(self, leaf: jax.Array) -> jax.Array:
        # The train step tells by identity whether a transform stood in front.
        return next((was for one, was in self._originals if one is leaf), leaf)


class _ConstantShards:
    def __init__(self, shards: Shards) -> None:
        self._shards = shards

    def __call__(self, params: Params, j: int | jax.Array) -> Updates:
        return jax.lax.stop_gradient(self._shards(params, j))

    def mean(
        self, f: Callable[[Callable[[Params], Updates]], Any], mode: str = "unroll"
    ) -> Any:
        def on_constants(grad: Callable[[Params], Updates]) -> Any:
            return f(lambda params: jax.lax.stop_gradient(grad(params)))

        return self._shards.mean(on_constants, mode)
