"""Norms of a step for its records: of the gradient, and of the update."""

from __future__ import annotations

from jaxopt_lab.core import trees
from jaxopt_lab.core.typing import Metrics, Params, Updates


def step_norms(grads: Updates, updates: Updates | None, params: Params) -> Metrics:
    r"""The gradient's norm, and the update's relative to the parameters'.

    Args:
      grads: mean gradient of the first pass, at the parameters.
      updates: what is added to them; ``None``: not known.
      params: the parameters before the step.

    Returns:
      ``grad_norm``, :math:`\|g\|`, and with updates ``update_ratio``,
      :math:`\|u\| / \|w\|`; 0 where all parameters are. About 1e-3 is usual.

    Cost: one pass over each tree; nothing is kept.

    >>> found = step_norms(4.0, 1.0, 2.0)
    >>> {name: float(x) for name, x in found.items()}
    {'grad_norm': 4.0, 'update_ratio': 0.5}
    """
    found = {"grad_norm": trees.global_norm(grads)}
    if updates is not None:
        size = trees.global_norm(updates)
        found["update_ratio"] = trees.safe_divide(size, trees.global_norm(params))
    return found
