"""The audit of derivatives through optax's optimizers, as the specification has it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from optax import contrib

STEPS = 3
CASES = ("ordinary", "zero gradients", "a * b with b = 0", "zero parameters")


class Audited(NamedTuple):
    """An optimizer of the audit.

    Attributes:
      make: ``make(learning_rate)``.
      rate: a usual learning rate.
      nan: cases in which the derivatives through the original are not finite, of the
        specification's table.
    """

    make: Callable[[Any], Any]
    rate: float
    nan: tuple[int, ...] = ()


def _clipped(clip: Any) -> Callable[[Any], Any]:
    return lambda lr: optax.chain(clip, optax.sgd(lr))


AUDIT = {
    "adam": Audited(optax.adam, 0.1, (2, 3)),
    "adamw": Audited(optax.adamw, 0.1, (2, 3)),
    "nadam": Audited(optax.nadam, 0.1, (2, 3)),
    "amsgrad": Audited(optax.amsgrad, 0.1, (2, 3)),
    "lamb": Audited(optax.lamb, 0.1, (1, 2, 3)),
    "radam": Audited(optax.radam, 0.1, (0, 1, 2, 3)),
    "optimistic_adam_v2": Audited(optax.optimistic_adam_v2, 0.1, (2, 3)),
    "muon": Audited(contrib.muon, 0.1, (2, 3)),
    "galore": Audited(lambda lr: contrib.galore(lr, rank=1), 0.1, (2, 3)),
    "ademamix": Audited(contrib.ademamix, 0.1, (2, 3)),
    "adopt": Audited(contrib.adopt, 0.1, (2, 3)),
    "madgrad": Audited(contrib.madgrad, 0.1, (1, 2, 3)),
    "prodigy": Audited(contrib.prodigy, 1.0, (1, 2, 3)),
    "dadapt_adamw": Audited(contrib.dadapt_adamw, 1.0, (2, 3)),
    "schedule_free_adamw": Audited(contrib.schedule_free_adamw, 0.1, (2, 3)),
    "dog": Audited(contrib.dog, 1.0, (0, 1, 2, 3)),
    "acprop": Audited(contrib.acprop, 0.1),
    "sgd": Audited(lambda lr: optax.sgd(lr, momentum=0.9), 0.1),
    "adamax": Audited(optax.adamax, 0.1),
    "adagrad": Audited(optax.adagrad, 0.1),
    "rmsprop": Audited(optax.rmsprop, 0.1),
    "adabelief": Audited(optax.adabelief, 0.1),
    "yogi": Audited(optax.yogi, 0.1),
    "lars": Audited(optax.lars, 0.1),
    "novograd": Audited(optax.novograd, 0.1),
    "lion": Audited(optax.lion, 0.1),
    "fromage": Audited(optax.fromage, 0.1),
    "adafactor": Audited(optax.adafactor, 0.1),
    "sm3": Audited(optax.sm3, 0.1),
    "rprop": Audited(optax.rprop, 0.1),
    "adadelta": Audited(optax.adadelta, 0.1),
    "adan": Audited(optax.adan, 0.1),
    "sign_sgd": Audited(optax.sign_sgd, 0.1),
    "noisy_sgd": Audited(lambda lr: optax.noisy_sgd(lr, key=jax.random.key(0)), 0.1),
    "cocob": Audited(contrib.cocob, 1.0),
    "clip_by_global_norm": Audited(_clipped(optax.clip_by_global_norm(1.0)), 0.1),
    "adaptive_grad_clip": Audited(_clipped(optax.adaptive_grad_clip(0.1)), 0.1, (3,)),
}

_X = np.array([[0.5, -0.2, 1.0], [-0.7, 0.4, 0.3], [0.9, 0.8, -0.5], [0.1, -1.1, 0.6]])
_Y = np.array([0.3, -0.9, 0.5, 1.2])
_START = {
    "ab": np.array([0.7, -1.3]),
    "w": np.array([[0.4, -0.8], [1.1, 0.3], [-0.6, 0.9]]),
    "v": np.array([0.8, -0.5]),
    "c": np.array([0.2]),
}


def start(case: int, dtype: Any = jnp.float64) -> Any:
    """The initial parameters of a case."""
    scale = 0.0 if case == 3 else 1.0
    tree = {name: scale * x for name, x in _START.items()}
    if case == 2:
        tree["ab"] = np.array([0.7, 0.0])
    return jax.tree.map(lambda x: jnp.asarray(x, dtype), tree)


def loss(params: Any) -> jax.Array:
    """The inner loss; at zero parameters the gradients of all but ``c`` are zero."""
    x, y = jnp.asarray(_X, params["w"].dtype), jnp.asarray(_Y, params["w"].dtype)
    out = jnp.tanh(x @ params["w"]) @ params["v"] + params["c"]
    return params["ab"][0] * params["ab"][1] + 0.5 * jnp.sum((out - y) ** 2)


def outer_loss(params: Any) -> jax.Array:
    """The outer loss; none of its slopes is zero at zero parameters."""
    return sum(jnp.sum(jnp.sin(x + 0.3)) for x in jax.tree.leaves(params))


def gradient(params: Any, idle: tuple[str, ...]) -> Any:
    """The gradient; ``idle`` leaves take no part, theirs is a constant zero."""
    found = jax.grad(loss)(params)
    return {k: jnp.zeros_like(g) if k in idle else g for k, g in found.items()}


def run(
    tx: Any, params: Any, idle: tuple[str, ...] = (), n: int = STEPS
) -> tuple[Any, Any]:
    """``(params, (updates, state))`` after a few steps from a fresh state."""
    state, updates = tx.init(params), None
    for _ in range(n):
        updates, state = tx.update(gradient(params, idle), state, params)
        params = optax.apply_updates(params, updates)
    return params, (updates, state)


def idle_in(case: int) -> tuple[str, ...]:
    """The leaves that take no part in a case."""
    return ("w",) if case == 1 else ()


def outer(
    make: Callable[[Any], Any], idle: tuple[str, ...] = (), n: int = STEPS
) -> Callable[[Any, Any], tuple[jax.Array, Any]]:
    """``f(rate, params) -> (outer loss, (updates, state))`` after a few steps."""

    def f(rate: Any, params: Any) -> tuple[jax.Array, Any]:
        params, rest = run(make(rate), params, idle, n)
        return outer_loss(params), rest

    return f


def central(f: Callable[[Any], Any], x: Any, way: Any, h: float) -> Any:
    """The derivative of ``f`` at ``x`` along ``way``, to fourth order in ``h``."""
    far, near = f(x - 2 * h * way) - f(x + 2 * h * way), f(x + h * way) - f(x - h * way)
    return (far + 8 * near) / (12 * h)


def flat(tree: Any) -> np.ndarray:
    """All numbers of a tree, in one row; keys as the numbers they are made of."""

    def numbers(x: Any) -> np.ndarray:
        if jnp.issubdtype(x.dtype, jax.dtypes.prng_key):
            x = jax.random.key_data(x)
        return np.ravel(np.asarray(x)).astype(np.float64)

    return np.concatenate([numbers(x) for x in jax.tree.leaves(tree)])
