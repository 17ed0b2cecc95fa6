"""The kind of an optimizer's update, read from its answers to a single gradient."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import numpy as np
import optax

from jaxopt_lab import curvature
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.typing import Params

_ANSWERS = 4
_SIZE = 1e-2


class UpdateRule(NamedTuple):
    r"""The largest curvature at which an update with a learning rate is stable.

    Attributes:
      factor: the update with rate eta is stable on a quadratic below the curvature
        ``factor / eta``: 2 for gradient descent.
      adam: options of ``curvature.adam_diagonal`` where the update divides by Adam's
        diagonal, so that the curvature is that of the preconditioned Hessian; ``None``
        for a sum of past gradients.
    """

    factor: float
    adam: dict[str, float] | None


def update_rule(
    tx: optax.GradientTransformation, params: Params, options: Mapping[str, Any]
) -> UpdateRule | None:
    r"""Recognize gradient descent with momentum, and Adam.

    A first gradient g followed by zeros tells both. A sum of past gradients answers
    with multiples :math:`-h_t g`, of which momentum of any form has
    :math:`h_{t+1} = \beta h_t` from :math:`t = 1` on. On a quadratic of curvature
    lambda it is stable for

    .. math:: \lambda < \frac{2 + 2 \beta}{h_0 (1 + \beta) - h_1},

    which is :math:`2 + 2 \beta` for the heavy ball, and that over
    :math:`1 + 2 \beta` for Nesterov's form, and that over :math:`1 - \beta` for an
    average, as Adam's.

    Args:
      tx: the optimizer with a learning rate of 1.
      params: the parameters, of which only the shapes matter.
      options: of the optimizer: ``b1``, ``b2`` and ``eps`` are those of Adam, where it
        is one.

    Returns:
      The rule; ``None`` for an optimizer that is neither.

    >>> params = np.zeros(3)
    >>> rule = update_rule(optax.sgd(1.0, momentum=0.5), params, {})
    >>> round(rule.factor, 4), rule.adam
    (3.0, None)
    >>> update_rule(optax.lion(1.0), params, {}) is None
    True
    """
    draw = np.random.default_rng(0)
    zeros = jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), params)
    gradient = jax.tree.map(
        lambda x: _SIZE * draw.standard_normal(x.shape).astype(x.dtype), zeros
    )
    try:
        state = jax.jit(tx.init)(zeros)
        update = jax.jit(tx.update)
        answers, after = [], None
        for t in range(_ANSWERS):
            given = zeros if t else gradient
            answer, state = update(given, state, zeros)
            answers.append(_flat(answer))
            after = state if t == 0 else after
    except (InputError, TypeError, ValueError):
        return None  # it wants more than gradients
    return _linear(_flat(gradient), answers) or _adam(after, answers[0], options)


def _linear(gradient: np.ndarray, answers: list[np.ndarray]) -> UpdateRule | None:
    square = gradient @ gradient
    h = np.array([-(answer @ gradient) / square for answer in answers])
    exact = -np.outer(h, gradient)
    if not np.allclose(answers, exact, rtol=1e-3, atol=1e-4 * _SIZE) or h[0] <= 0:
        return None
    beta = h[2] / h[1] if abs(h[1]) > 1e-6 else 0.0
    if not 0 <= beta < 1 or abs(h[3] - beta * h[2]) > 1e-4 * h[0]:
        return None
    bound = h[0] * (1 + beta) - h[1]
    factor = float((2 + 2 * beta) / bound) if bound > 0 else 0.0
    return UpdateRule(factor, None) if bound > 0 else None


def _adam(
    state: Any, answer: np.ndarray, options: Mapping[str, Any]
) -> UpdateRule | None:
    known = {name: options[name] for name in ("b2", "eps") if name in options}
    try:
        diagonal = jax.jit(curvature.adam_diagonal)(state, **known)
    except InputError:
        return None
    beta = options.get("b1", 0.9)
    kind = optax.ScaleByAdamState
    leaves = jax.tree.leaves(state, is_leaf=lambda x: isinstance(x, kind))
    (adam,) = [x for x in leaves if isinstance(x, kind)]
    mean = jax.tree.map(lambda m: np.asarray(m) / (1 - beta), adam.mu)
    exact = _flat(jax.tree.map(lambda m, d: -m / np.asarray(d), mean, diagonal))
    if not np.allclose(answer, exact, rtol=1e-3):
        return None
    return UpdateRule((2 + 2 * beta) / (1 - beta), known)


def _flat(tree: Any) -> np.ndarray:
    wide = [np.ravel(np.asarray(x, np.float64)) for x in jax.tree.leaves(tree)]
    return np.concatenate(wide)
