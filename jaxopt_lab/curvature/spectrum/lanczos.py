"""Lanczos iteration with full reorthogonalization and a breakdown guard."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Literal, NamedTuple, get_args

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxopt_lab.core import checks as arguments
from jaxopt_lab.core import errors, trees
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.known_values import known_values
from jaxopt_lab.core.typing import PyTree
from jaxopt_lab.curvature.operators import vector_trees as vt
from jaxopt_lab.curvature.operators.operator import (
    Operator,
    Shapes,
    check_operator,
    check_vector,
    draw,
)
from jaxopt_lab.curvature.spectrum.tridiagonal import Ritz, ritz_on_host, ritz_traced

Which = Literal["largest", "smallest", "magnitude"]


class LanczosResult(NamedTuple):
    """A Krylov space and the operator in it. k: steps taken (or allowed, if traced).

    Attributes:
      alphas: diagonal of T, ``(k,)``.
      betas: norms after each step, ``(k,)``: T's off-diagonal, and last the residual's
        norm.
      valid: number of steps that count.
      values: Ritz values, ascending, ``(k,)``.
      weights: squared first entries of T's eigenvectors, ``(k,)``: with ``values``
        the Gauss quadrature of the spectrum as the start vector sees it. Sum 1.
      residuals: ``|H y - theta y|`` for each Ritz pair, ``(k,)``: within this distance
        of a Ritz value there is an eigenvalue (up to rounding, which adds about eps
        times the largest one).
      rotation: eigenvectors of T as columns, ``(k, k)``.
      basis: the orthonormal vectors, stacked; zeros after ``valid``. None without
        reorthogonalization.
      matvecs: products spent.
    """

    alphas: Array | np.ndarray
    betas: Array | np.ndarray
    valid: Array | int
    values: Array | np.ndarray
    weights: Array | np.ndarray
    residuals: Array | np.ndarray
    rotation: Array | np.ndarray
    basis: PyTree | None
    matvecs: Array | int


class _State(NamedTuple):
    step: Array
    done: Array
    current: PyTree
    previous: PyTree
    beta: Array
    scale: Array
    alphas: Array
    betas: Array


def _start(
    v: PyTree, like: Shapes, num_steps: int, keep: bool
) -> tuple[_State, PyTree | None]:
    """The state before the first step, and a buffer for the basis."""
    current, norm = vt.unit(v)
    zero = jnp.zeros_like(norm)
    basis = vt.empty_stack(like.tree(), num_steps) if keep else None
    state = _State(
        step=jnp.zeros((), jnp.int32),
        done=norm == 0,
        current=current,
        previous=jax.tree.map(jnp.zeros_like, current),
        beta=zero,
        scale=zero,
        alphas=jnp.zeros((num_steps,), norm.dtype),
        betas=jnp.zeros((num_steps,), norm.dtype),
    )
    return state, basis


def _insert(basis: PyTree | None, state: _State) -> PyTree | None:
    return basis if basis is None else vt.set_row(basis, state.step, state.current)


def _advance(state: _State, basis: PyTree | None, w: PyTree) -> _State:
    """One step, given ``w = H current`` and the basis with ``current`` in it."""
    j, q = state.step, state.current
    alpha = trees.dot(q, w)
    w = vt.add_scaled(vt.add_scaled(w, -alpha, q), -state.beta, state.previous)
    if basis is not None:
        w = vt.orthogonal_part(w, basis)
    following, beta = vt.unit(w)
    # After the space is exhausted the residual is rounding error: about eps for each
    # entry, times the scale of the matrix. `beta` itself is not part of that scale.
    scale = jnp.maximum(state.scale, jnp.abs(alpha) + state.beta)
    eps = max(jnp.finfo(x.dtype).eps for x in jax.tree.leaves(q))
    threshold = 10 * float(eps) * trees.count(q) ** 0.5
    more = beta > threshold * scale  # False for NaN too
    return _State(
        step=j + 1,
        done=~more,
        current=vt.scale(more, following),
        previous=q,
        beta=beta,
        scale=jnp.where(more, jnp.maximum(scale, jnp.abs(alpha) + beta), scale),
        alphas=state.alphas.at[j].set(alpha),
        betas=state.betas.at[j].set(beta),
    )


_start_on_host = jax.jit(_start, static_argnums=(1, 2, 3))
# Two programs: in a single one, XLA:CPU copies the whole basis, the largest cost.
_insert_on_host = jax.jit(_insert, donate_argnums=0)
_advance_on_host = jax.jit(_advance)


@partial(jax.jit, static_argnums=(0, 3, 4, 5))
def _traced(
    apply: Callable[..., Any],
    data: PyTree,
    v: PyTree,
    like: Shapes,
    num_steps: int,
    keep: bool,
) -> LanczosResult:
    def body(carry: tuple[_State, PyTree]) -> tuple[_State, PyTree]:
        state, basis = carry
        basis = _insert(basis, state)
        return _advance(state, basis, apply(data, state.current)), basis

    def going(carry: tuple[_State, PyTree]) -> Array:
        return ~carry[0].done & (carry[0].step < num_steps)

    begin = _start(v, like, num_steps, keep)
    end, basis = jax.lax.while_loop(going, body, begin)
    ritz = ritz_traced(end.alphas, end.betas, end.step, end.scale)
    return LanczosResult(
        end.alphas, end.betas, end.step, *ritz, basis=basis, matvecs=end.step
    )


def lanczos(
    operator: Operator,
    key: Array,
    num_steps: int,
    *,
    start: PyTree | None = None,
    tol: float | None = None,
    wanted: int = 1,
    which: Which = "largest",
    reorthogonalize: bool = True,
    traced: bool = False,
) -> LanczosResult:
    r"""Tridiagonalize an operator in the Krylov space of a start vector.

    .. math::
        b_j q_{j+1} = H q_j - a_j q_j - b_{j-1} q_{j-1}, \quad
        T = Q^\top H Q, \quad T u = \theta u, \quad
        \|H Q u - \theta Q u\| = b_{k-1} |u_{k-1}|

    Every new vector is made orthogonal to all before it, twice. The iteration stops
    where the space is exhausted: if :math:`b_j \le 10\, \epsilon \sqrt{P}\, s`, with
    s the largest :math:`|a_i| + |b_i|` so far, the residual is rounding error, and more
    steps would give spurious eigenvalues.

    Args:
      operator: H, symmetric.
      key: typed PRNG key for the start vector (normal entries).
      num_steps: k, at most; clipped to P.
      start: start vector instead of a drawn one, like ``operator.like``; any norm.
      tol: stop as soon as the wanted Ritz pairs have residuals of at most ``tol``
        times the largest absolute Ritz value. Not with ``traced``. Default: all steps.
      wanted: number of pairs that ``tol`` applies to.
      which: the end of the spectrum: ``"largest"``, ``"smallest"``, ``"magnitude"``.
      reorthogonalize: False holds three vectors instead of k + 3. Eigenvalues at the
        ends then come out right, but several times; there are no vectors.
      traced: run as one compiled program instead of a Python loop around a compiled
        product. On CPU a convolution inside it is 20 to 40 times slower; on
        accelerators it saves the waits for the host.

    Returns:
      A ``LanczosResult``. Steps that were not taken are cut off, or, with ``traced``,
      padded: copies of the largest Ritz value with weight 0.

    Raises:
      InputError: an option is out of range or unknown, ``start`` does not fit or is
        zero, or ``traced`` is asked of an operator that streams its batches.

    A start vector sees each distinct eigenvalue once, whatever its multiplicity. A
    matrix with NaN ends the iteration at once with NaN values. Memory: (k + 3) P.

    >>> import jax, jax.numpy as jnp
    >>> from jaxopt_lab import curvature
    >>> diagonal = jnp.array([3.0, 1.0, 0.0, 0.0])
    >>> h = curvature.linear_operator(lambda v: diagonal * v, diagonal)
    >>> result = lanczos(h, jax.random.key(0), 4)
    >>> result.valid, [abs(round(float(x), 4)) for x in result.values]
    (3, [0.0, 1.0, 3.0])

    Reference: Lanczos (1950); Paige, "Accuracy and effectiveness of the Lanczos
    algorithm for the symmetric eigenproblem", Linear Algebra Appl. 34 (1980).
    """
    arguments.check_positive_count("num_steps", num_steps)
    arguments.check_positive_count("wanted", wanted)
    if which not in get_args(Which):
        raise errors.unknown("which", which, get_args(Which))
    check_operator(operator)
    num_steps = min(num_steps, operator.size)
    like = Shapes.of(operator.like)
    v = draw(operator, key) if start is None else _checked(operator, start)
    if traced:
        if tol is not None:
            raise InputError("tol needs traced=False; got both")
        if operator.apply is None:
            raise InputError(
                "traced=True needs batches that are held: give them as a list"
            )
        return _traced(
            operator.apply, operator.data, v, like, num_steps, reorthogonalize
        )
    state, basis = _start_on_host(v, like, num_steps, reorthogonalize)
    j, ended = 0, False
    while not ended:
        basis = _insert_on_host(basis, state)
        state = _advance_on_host(state, basis, operator.matvec(state.current))
        j += 1
        ended = bool(state.done) or j == num_steps
        if tol is not None and j >= wanted and not ended:
            ended = _converged(_ritz(state, j), wanted, which, tol)
    ritz = _ritz(state, j)
    return LanczosResult(
        *_host(state, j), valid=j, **ritz._asdict(), basis=basis, matvecs=j
    )


def _checked(operator: Operator, start: PyTree) -> PyTree:
    check_vector(start, operator.like, "start")
    norm = known_values(trees.global_norm(start))
    if norm is not None and norm == 0:
        raise InputError("start must not be the zero vector")
    return start


def _host(state: _State, j: int) -> tuple[np.ndarray, np.ndarray]:
    alphas, betas = jax.device_get((state.alphas, state.betas))
    return alphas[:j].astype(np.float64), betas[:j].astype(np.float64)


def _ritz(state: _State, j: int) -> Ritz:
    return ritz_on_host(*_host(state, j))


def order(values: np.ndarray | Array, which: Which) -> Any:
    """Indices of Ritz values, the wanted end first.

    Args:
      values: ascending.
      which: ``"largest"``, ``"smallest"`` or ``"magnitude"``.

    Returns:
      The permutation.
    """
    numpy = np if isinstance(values, np.ndarray) else jnp
    if which == "smallest":
        return numpy.arange(len(values))
    if which == "largest":
        return numpy.arange(len(values))[::-1]
    return numpy.argsort(-abs(values), stable=True)


def _converged(ritz: Ritz, wanted: int, which: Which, tol: float) -> bool:
    first = order(ritz.values, which)[:wanted]
    return bool(np.all(ritz.residuals[first] <= tol * np.max(abs(ritz.values))))
