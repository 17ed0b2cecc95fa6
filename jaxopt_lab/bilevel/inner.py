"""The inner problem: the loop that runs for given outer parameters."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, TypeAlias

import jax

from jaxopt_lab.core import checks as arguments
from jaxopt_lab.core.typing import PyTree

Theta: TypeAlias = PyTree
Carry: TypeAlias = PyTree
Weights: TypeAlias = PyTree


def _itself(carry: Carry) -> Weights:
    return carry


@dataclasses.dataclass(frozen=True)
class InnerProblem:
    r"""A loop that depends on outer parameters θ.

    .. math:: c_0 = \mathrm{init}(θ), \quad c_{t+1} = \mathrm{step}(θ, c_t, t),
        \quad w = \mathrm{read}(c_n)

    Everything random is a function of ``t`` (``jax.random.fold_in(key, t)``) or of a
    key in the carry, and so are the batches: the loop is a deterministic function of
    θ, and that function is what is differentiated.

    Attributes:
      init: ``init(theta) -> carry``, any tree of arrays; typed keys and integers too.
      step: ``step(theta, carry, t) -> carry`` of the same structure, shapes and
        dtypes; ``t`` is a traced int32 scalar.
      n: number of steps of one call, at least 1.
      read: ``read(carry) -> w``, the argument of the outer loss; by default the
        carry itself.
      objective: ``objective(theta, w) -> scalar``, which the loop minimises; for the
        implicit modes. Its batch must be a fixed one.
      optimality: ``optimality(theta, w)``, its gradient with respect to w, instead
        of ``objective``; the solution w is its root.
      window_loss: ``window_loss(theta, carry, t) -> scalar``, the loss of the carry
        that step ``t`` gave; the outer loss is then the sum over all steps.

    Raises:
      InputError: ``n`` is less than 1 or no whole number.

    >>> import jax.numpy as jnp
    >>> descent = InnerProblem(
    ...     init=lambda theta: jnp.float32(1),
    ...     step=lambda theta, w, t: w - theta["lr"] * w,
    ...     n=3,
    ... )
    >>> w = descent.init(None)
    >>> float(descent.step({"lr": 0.5}, w, 0))
    0.5
    """

    init: Callable[[Theta], Carry]
    step: Callable[[Theta, Carry, jax.Array], Carry]
    n: int
    read: Callable[[Carry], Weights] = _itself
    objective: Callable[[Theta, Weights], jax.Array] | None = None
    optimality: Callable[[Theta, Weights], Weights] | None = None
    window_loss: Callable[[Theta, Carry, jax.Array], jax.Array] | None = None

    def __post_init__(self) -> None:
        arguments.check_positive_count("n", self.n)

    def replace(self, **changes: Any) -> InnerProblem:
        """The same problem with other fields (``n=10`` for a window of it)."""
        return dataclasses.replace(self, **changes)


def optimality_of(inner: InnerProblem) -> Callable[[Theta, Weights], Weights]:
    """The function that is zero at the solution: the gradient of the objective.

    Args:
      inner: the problem; it has an ``optimality`` or an ``objective``.

    Returns:
      ``F(theta, weights)``, a tree like the weights.
    """
    if inner.optimality is not None:
        return inner.optimality
    assert inner.objective is not None
    return jax.grad(inner.objective, argnums=1)
