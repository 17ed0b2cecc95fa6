"""Evaluation parameters of methods that train perturbed or fast weights."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import jax

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.typing import Params


@runtime_checkable
class HasEvalParams(Protocol):
    """State of a method whose evaluation parameters differ from the trained ones."""

    def eval_params(self, params: Params) -> Params:
        """The parameters to evaluate at, from the ones that are trained."""
        ...


def eval_params(params: Params, state: Any) -> Params:
    """The parameters to evaluate, export and average.

    ``momentum_sam`` and ``stale_sam`` keep the parameters at the perturbed point, so
    that one gradient a step is enough; ``lookahead`` keeps the fast weights.

    Args:
      params: the parameters of the training.
      state: the optimizer's state; the method's own may stand anywhere in it, inside
        a chain or ``inject_hyperparams``.

    Returns:
      Parameters of the same structure; ``params`` itself where no part of the state
      says otherwise.

    Raises:
      InputError: several parts of the state say so.

    >>> import jax.numpy as jnp, optax, jaxopt_lab
    >>> tx = jaxopt_lab.momentum_sam(optax.sgd(0.1, momentum=0.9), rho=0.5)
    >>> w, state = jnp.array(1.0), tx.init(jnp.array(1.0))
    >>> updates, state = tx.update(jnp.array(2.0), state, w)
    >>> w = optax.apply_updates(w, updates)  # 1 - 0.1 * 2, and 0.5 further
    >>> round(float(w), 4), round(float(eval_params(w, state)), 4)
    (0.3, 0.8)
    """

    def has_eval_params(node: Any) -> bool:
        return isinstance(node, HasEvalParams)

    nodes = [
        x for x in jax.tree.leaves(state, is_leaf=has_eval_params) if has_eval_params(x)
    ]
    if len(nodes) > 1:
        kinds = ", ".join(type(node).__name__ for node in nodes)
        raise InputError(f"the state has several parameters to evaluate at: {kinds}")
    return nodes[0].eval_params(params) if nodes else params
