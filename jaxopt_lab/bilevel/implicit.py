"""Implicit differentiation: derivatives of a minimum by a linear solve."""
# Its examples wait for pytest --full.

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jaxopt_lab.bilevel import checks
from jaxopt_lab.bilevel.checks import require_field
from jaxopt_lab.bilevel.hypergrad_unrolled import Episode, Hypergradient, detached
from jaxopt_lab.bilevel.inner import (
    Carry,
    InnerProblem,
    Theta,
    Weights,
    optimality_of,
)
from jaxopt_lab.bilevel.linear_solve import Product, Solver, relative_residual
from jaxopt_lab.bilevel.options import ImplicitMode, make_solver
from jaxopt_lab.core.typing import Scalar


def weights_of(inner: InnerProblem, carry: Carry) -> Weights:
    """The result of ``inner.read``, refused unless it is real and floating.

    Args:
      inner: the problem.
      carry: a carry.

    Returns:
      The weights.

    Raises:
      InputError: a leaf is not real and floating; its path is named.
    """
    w = jax.tree.map(jnp.asarray, inner.read(carry))
    checks.require_real("the result of inner.read", w)
    return w


def implicit(
    episode: Episode, theta: Theta, solver: Solver, guess: Weights | None
) -> Hypergradient:
    r"""The hypergradient at a minimum of the objective, from that minimum alone.

    .. math:: \nabla_θ f - (\partial_θ F)^T u, \qquad (\partial_w F)^T u = \nabla_w f

    with F the gradient of the objective and f the outer loss.

    Args:
      episode: the loop that finds the minimum; not differentiated.
      theta: outer parameters.
      solver: of the linear system.
      guess: its starting point, or ``None``.

    Returns:
      ``(value, gradient, {"carry", "adjoint", "num_steps", "residual"})``.
    """
    assert episode.outer is not None
    carry = detached(episode.last(detached(theta), "none"))
    w = weights_of(episode.inner, carry)
    condition = optimality_of(episode.inner)
    value, (direct, b) = jax.value_and_grad(episode.outer, argnums=(0, 1))(theta, w)
    product = _transposed(episode.inner, theta, w)
    if guess is not None:
        checks.check_start(guess, w, "adjoint0")
        guess = detached(guess)
    u, steps = solver(product, b, guess)
    _, pull = jax.vjp(lambda theta: condition(theta, w), theta)
    (through,) = pull(u)
    info = {
        "carry": carry,
        "adjoint": detached(u),
        "num_steps": steps,
        "residual": relative_residual(product, solver.damping, u, b),
    }
    return value, jax.tree.map(jnp.subtract, direct, through), info


def _product(inner: InnerProblem, theta: Theta, w: Weights) -> Product:
    # Linearize once: the gradient is then not evaluated again for each product.
    condition = optimality_of(inner)
    _, product = jax.linearize(lambda w: condition(theta, w), w)
    return product


def _transposed(inner: InnerProblem, theta: Theta, w: Weights) -> Product:
    if inner.optimality is None:
        return _product(inner, theta, w)
    # A hand-written condition need not be a gradient, so its Jacobian may be
    # asymmetric.
    _, pull = jax.vjp(lambda w: optimality_of(inner)(theta, w), w)
    return lambda v: pull(v)[0]


def implicit_solution(
    inner: InnerProblem,
    *,
    mode: ImplicitMode = "implicit_cg",
    damping: Scalar | None = None,
    tol: float | None = None,
    max_steps: int | None = None,
    alpha: Scalar | None = None,
    terms: int | None = None,
) -> Callable[..., Weights]:
    r"""The inner solution as a differentiable function of the outer parameters.

    The values are those of the loop, ``inner.read`` of its last carry; the derivative
    is that of the minimum of ``inner.objective``,

    .. math:: dw^* = -(\partial_w F + \mathrm{damping}\, I)^{-1} \partial_θ F\, dθ,
        \qquad F = \nabla_w \mathrm{objective},

    as if the loop had converged. It composes with everything: forward and
    reverse mode, ``jit``, ``vmap``, and once more ``grad``, because the rule is
    written with the function itself and a linear solve that has derivatives. (These
    take a solve for exact: with few ``max_steps``, second derivatives are as rough.)

    Args:
      inner: a problem with ``objective`` or ``optimality``.
      mode: ``"implicit_cg"`` or ``"neumann"``.
      damping: added to the diagonal of the Hessian; 0 by default.
      tol: of conjugate gradients; by default about 2e-12 in float64, 6e-6 in float32.
      max_steps: of conjugate gradients; by default until ``tol`` is met.
      alpha: of the Neumann series, less than 2 / (largest eigenvalue).
      terms: of the Neumann series; 20 by default.

    Returns:
      ``solution(theta, start=None) -> w``; ``start`` is a carry to go on from, with
      respect to which the derivative is 0.

    Raises:
      InputError: the problem has no objective, the mode is unknown, or an option does
        not belong to it. When called: a weight is no real floating array, the step
        changes the structure of the carry, or lineax is not installed.

    Gradient cost: that of the loop's forward run, one gradient of the objective, and
    about one gradient more for each iteration. Memory: one carry, four trees like the
    weights, and what one gradient of the objective stores; nothing of the loop.

    >>> import jax.numpy as jnp
    >>> inner = InnerProblem(  # w* = theta**2
    ...     init=lambda theta: jnp.float32(0),
    ...     step=lambda theta, w, t: w - 0.5 * (w - theta**2),
    ...     n=40,
    ...     objective=lambda theta, w: 0.5 * (w - theta**2) ** 2,
    ... )
    >>> solution = implicit_solution(inner)
    >>> float(solution(3.0)), float(jax.grad(solution)(3.0))
    (9.0, 6.0)
    >>> float(jax.grad(jax.grad(solution))(3.0))
    2.0

    Reference: Blondel and others, "Efficient and modular implicit differentiation",
    NeurIPS 2022, arXiv:2105.15183.
    """
    require_field(inner, "objective", mode)
    solver = make_solver(mode, damping, tol, max_steps, alpha, terms)
    condition = optimality_of(inner)

    @jax.custom_jvp
    def solution(theta: Theta, start: Carry | None) -> Weights:
        checks.check_loop(inner, theta, start)
        episode = Episode(None, inner, start, 0, "none")
        return weights_of(inner, episode.last(theta))

    @solution.defjvp
    def _(primals: Any, tangents: Any) -> tuple[Weights, Weights]:
        theta, start = primals
        # Call the function itself, not the loop, so that the derivative of this rule is
        # implicit too.
        w = solution(theta, start)
        _, moved = jax.jvp(lambda theta: condition(theta, w), (theta,), tangents[:1])
        back = jax.tree.map(jnp.negative, moved)
        change, _ = solver(_product(inner, theta, w), back)
        return w, change

    def call(theta: Theta, start: Carry | None = None) -> Weights:
        return solution(jax.tree.map(jnp.asarray, theta), start)

    return call
