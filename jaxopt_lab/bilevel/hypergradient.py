"""Hypergradients of an outer loss through an inner optimization, in seven modes."""
# Its examples wait for pytest --full.

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, get_args

import jax
import jax.numpy as jnp

from jaxopt_lab.bilevel import checks
from jaxopt_lab.bilevel.checkpointed_scan import Remat
from jaxopt_lab.bilevel.evolution import (
    check_particles,
    evolution,
    persistent_evolution,
)
from jaxopt_lab.bilevel.health import reverse_with_health
from jaxopt_lab.bilevel.hypergrad_unrolled import (
    Episode,
    Hypergradient,
    Outer,
    forward,
    one_step,
    reverse,
)
from jaxopt_lab.bilevel.implicit import implicit
from jaxopt_lab.bilevel.inner import Carry, InnerProblem, Theta, Weights
from jaxopt_lab.bilevel.options import (
    DEFAULT_PAIRS,
    ImplicitMode,
    Mode,
    check_mode,
    check_sampling,
    make_solver,
)
from jaxopt_lab.bilevel.plan import Program, settled
from jaxopt_lab.core.argument_checks import check_value
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.typing import Scalar


def hypergrad(
    outer: Outer | None,
    inner: InnerProblem,
    theta: Theta,
    *,
    mode: Mode = "reverse",
    remat: Remat | Literal["auto"] = "sqrt",
    budget: int | None = None,
    start: Any = None,
    t0: int | jax.Array = 0,
    damping: Scalar | None = None,
    tol: float | None = None,
    max_steps: int | None = None,
    alpha: Scalar | None = None,
    terms: int | None = None,
    adjoint0: Weights | None = None,
    key: jax.Array | None = None,
    pairs: int | None = None,
    sigma: Scalar | None = None,
    allow_unused: bool = False,
    health: bool = False,
) -> Hypergradient:
    r"""The gradient of ``outer(theta, w(theta))``, w being where the inner loop ends.

    .. math:: \frac{d}{dθ} f(θ, w_n(θ)), \quad w_n = \mathrm{read}(c_n), \quad
        c_{t+1} = \mathrm{step}(θ, c_t, t), \quad c_0 = \mathrm{init}(θ)

    With C the bytes of one carry, G the cost of one step (about one gradient of the
    inner loss), and a plain run of the loop taking n G and about 1 C:

    =============  =================================  ===========================
    mode           what it gives                      cost; memory
    =============  =================================  ===========================
    "reverse"      the exact derivative of the loop   4 to 7 n G, 2 sqrt(n) C with
                                                      ``remat="sqrt"``
    "forward"      the same                           about 2 n G and 3 C for each
                                                      number in theta
    "implicit_cg"  the derivative of the minimum, by  n G and 1 G an iteration;
                   conjugate gradients                1 C, what a gradient stores,
                                                      and six trees of weights
    "neumann"      the same by a truncated series     n G and 1 G a term; the same
                                                      with four trees
    "one_step"     the derivative of the last step    (n + 2) G; 1 C and what a
                                                      gradient stores
    "es"           an estimate of the derivative      (1 + 2 pairs) n G; 4 C a pair
                   of the loss smoothed by sigma
    "pes"          the same over windows of a longer  2 pairs n G; 4 C a pair
                   loop, without bias
    =============  =================================  ===========================

    ``"implicit_cg"`` and ``"neumann"`` are right in so far as the loop has converged:
    theta must act through ``inner.objective``, and a parameter of the path alone (a
    learning rate) has no derivative. ``"one_step"`` is their first term, good where
    one step contracts strongly.

    Args:
      outer: ``outer(theta, w) -> scalar``; ``None`` for the sum over the steps of
        ``inner.window_loss`` (modes reverse, forward, es), which mode pes requires.
      inner: the inner problem.
      theta: outer parameters, any tree of real floating arrays and numbers.
      mode: one of the table.
      remat: what the reverse pass stores: ``"none"``, ``"step"``, ``"sqrt"``, a number
        of levels, or ``"auto"``, the fewest levels that fit ``budget``; all give the
        same. Other modes store nothing.
      budget: reverse with ``remat="auto"``: bytes; 1 GiB by default.
      start: go on from here instead of from ``inner.init(theta)``: ``info["carry"]``
        of the last call (a warm start, or the next window of a truncated run), for
        mode pes ``info["particles"]``. Held constant: with it, ``init`` is not
        differentiated.
      t0: ``t`` of the first step, for a run in windows (mode pes counts by itself
        after the first window).
      damping: implicit modes: added to the diagonal of the Hessian; 0 by default.
      tol: implicit_cg: relative tolerance; about 2e-12 in float64 and 6e-6 in float32
        by default.
      max_steps: implicit_cg: cut the iteration here.
      alpha: neumann: the step, less than 2 / (largest eigenvalue); no default.
      terms: neumann: number of terms, 20 by default.
      adjoint0: implicit modes: where the solve starts, ``info["adjoint"]`` of the last
        call.
      key: es and pes: typed key; another one in every call.
      pairs: es and pes: number of antithetic pairs, 16 by default.
      sigma: es and pes: standard deviation of the perturbations, in the units of
        theta; no default.
      allow_unused: accept leaves of theta on which the loss does not depend (their
        gradient is 0) instead of raising.
      health: reverse: measure how the adjoint grows from step to step, and from which
        step on the gradient is to be trusted; see ``bilevel.Health``.

    Returns:
      ``(value, gradient, info)``. The value is the outer loss (mode pes: its mean over
      the perturbed runs), the gradient a tree like theta, and ``info`` a dictionary:
      ``carry``, the last carry, held constant (all modes but pes); ``health`` (reverse,
      where asked for); ``adjoint``, the
      solution u of the linear system, ``num_steps`` that it took, and ``residual``,
      its relative residual (implicit modes); ``particles`` (pes); ``standard_error``
      of the gradient, a tree like it (es, pes).

    Raises:
      InputError: a leaf of theta is not real and floating, or not used in this mode;
        the mode is unknown, lacks an option or a field of ``inner``, or is given an
        option of another; ``inner.step`` changes the structure of the carry; ``start``
        does not fit it; the loss is no scalar; lineax is not installed.

    May be called under ``jit``, ``vmap`` and ``grad``.

    >>> from jaxopt_lab.bilevel import InnerProblem, hypergrad
    >>> inner = InnerProblem(
    ...     init=lambda theta: jnp.float32(1),
    ...     step=lambda theta, w, t: w - theta["lr"] * (w - theta["target"]),
    ...     n=10,
    ...     objective=lambda theta, w: 0.5 * (w - theta["target"]) ** 2,
    ... )
    >>> outer = lambda theta, w: (w - 3.0) ** 2
    >>> theta = {"lr": 0.5, "target": 2.0}
    >>> value, grad, _ = hypergrad(outer, inner, theta)
    >>> round(float(value), 3), round(float(grad["target"]), 3)
    (1.002, -2.0)
    >>> _, grad, info = hypergrad(
    ...     outer, inner, theta, mode="implicit_cg", allow_unused=True
    ... )
    >>> float(grad["lr"]), round(float(grad["target"]), 3)
    (0.0, -2.002)
    >>> float(info["residual"]) < 1e-5
    True

    The same loop in windows of five steps, without truncation bias:

    >>> window = inner.replace(n=5, window_loss=lambda theta, w, t: (w - 3.0) ** 2)
    >>> start = None
    >>> for key in jax.random.split(jax.random.key(0)):
    ...     _, grad, info = hypergrad(
    ...         None, window, theta, mode="pes", key=key, sigma=0.01, start=start
    ...     )
    ...     start = info["particles"]
    >>> int(start.t)
    10

    References: Franceschi and others, "Forward and reverse gradient-based
    hyperparameter optimization", arXiv:1703.01785; Pedregosa, "Hyperparameter
    optimization with approximate gradient", arXiv:1602.02355; Lorraine, Vicol and
    Duvenaud, "Optimizing millions of hyperparameters by implicit differentiation",
    arXiv:1911.02590 (neumann); Bolte, Pauwels and Vaiter, "One-step differentiation of
    iterative algorithms", arXiv:2305.13768; Vicol, Metz and Sohl-Dickstein, "Unbiased
    gradient estimation in unrolled computation graphs with persistent evolution
    strategies", arXiv:2112.13835 (pes).
    """
    own = {"damping": damping, "tol": tol, "max_steps": max_steps, "alpha": alpha}
    own |= {"terms": terms, "adjoint0": adjoint0}
    own |= {"budget": budget, "key": key, "pairs": pairs, "sigma": sigma}
    check_mode(mode, own)
    check_value("inner", inner, (InnerProblem,))
    if health and mode != "reverse":
        raise InputError(f"health is for mode 'reverse'; got mode={mode!r}")
    checks.check_losses(outer, inner, mode)
    theta = checks.as_theta(theta)
    episode = Episode(outer, inner, start, t0, "none")

    sampled = mode in ("es", "pes")
    if sampled:
        pairs = DEFAULT_PAIRS if pairs is None else pairs
        check_sampling(key, pairs, sigma)
    particles = mode == "pes" and start is not None
    if particles:
        check_particles(inner, theta, start, pairs or 0)
    first = checks.check_loop(inner, theta, None if particles else start)
    checks.check_scalar(outer, inner, theta, first)
    if mode in get_args(ImplicitMode):
        weights = jax.eval_shape(inner.read, first)
        checks.require_real("the result of inner.read", weights)
    used = []
    if sampled or not allow_unused:
        used, by = checks.used_by(mode, episode, theta, first)
        if not allow_unused:
            checks.require_used(used, theta, by)

    if mode == "reverse":
        levels = settled(_program(inner, theta, first), remat, budget, measure=False)
        run = reverse_with_health if health else reverse
        return run(episode._replace(remat=levels.remat), theta)
    if mode == "forward":
        return forward(episode, theta)
    if mode == "one_step":
        return one_step(episode, theta)
    if mode in get_args(ImplicitMode):
        solver = make_solver(mode, damping, tol, max_steps, alpha, terms)
        return implicit(episode, theta, solver, adjoint0)
    assert key is not None and pairs is not None and sigma is not None
    estimate = evolution if mode == "es" else persistent_evolution
    value, grad, info = estimate(episode, theta, key, pairs, sigma)
    # For unused leaves the estimate is pure noise of the others.
    info["standard_error"] = _only(used, info["standard_error"])
    return value, _only(used, grad), info


def _only(used: Sequence[bool], tree: Theta) -> Theta:
    leaves, structure = jax.tree.flatten(tree)
    kept = [x if u else jnp.zeros_like(x) for u, x in zip(used, leaves, strict=True)]
    return jax.tree.unflatten(structure, kept)


def _program(inner: InnerProblem, theta: Theta, carry: Carry) -> Program:
    return Program(inner.step, theta, carry, inner.n, 0)
