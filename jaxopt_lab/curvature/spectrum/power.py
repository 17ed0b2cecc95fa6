"""Power iteration, as a check on Lanczos."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxopt_lab.core import checks as arguments
from jaxopt_lab.core import trees
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.typing import PyTree
from jaxopt_lab.curvature.operators import vector_trees as vt
from jaxopt_lab.curvature.operators.operator import Operator, check_vector, draw


class PowerResult(NamedTuple):
    """The last iterate.

    Attributes:
      value: Rayleigh quotient of ``vector``.
      vector: unit vector before the last product, like the operator's vectors.
      residual: ``|H v - value v|``.
      history: Rayleigh quotients, one for each product.
      matvecs: products spent.
    """

    value: float
    vector: PyTree
    residual: float
    history: np.ndarray
    matvecs: int


@jax.jit
def _step(v: PyTree, u: PyTree) -> tuple[PyTree, Array, Array]:
    value = trees.dot(v, u)
    residual = trees.global_norm(vt.add_scaled(u, -value, v))
    return vt.unit(u)[0], value, residual


def power_iteration(
    operator: Operator,
    key: Array,
    *,
    num_steps: int = 100,
    tol: float = 1e-3,
    start: PyTree | None = None,
) -> PowerResult:
    r"""The eigenvalue of largest magnitude, slowly: a check on ``top_eigenvalues``.

    .. math::
        u = H v, \quad \lambda = \langle v, u \rangle, \quad v \leftarrow u / \|u\|

    It approaches from below, needs many more products than Lanczos for the same
    digits, and where the matrix is indefinite the eigenvalue may be the most negative
    one. No other estimate uses it.

    Args:
      operator: H, symmetric.
      key: typed PRNG key for the start vector.
      num_steps: products at most.
      tol: stop when ``|u - lambda v| <= tol |lambda|``. 0: never.
      start: start vector instead of a drawn one; any norm but 0.

    Returns:
      A ``PowerResult``.

    Raises:
      InputError: an option is out of range; ``start`` does not fit or is zero.

    >>> import jax, jax.numpy as jnp
    >>> from jaxopt_lab import curvature
    >>> diagonal = jnp.array([1.0, -4.0])
    >>> h = curvature.linear_operator(lambda v: diagonal * v, diagonal)
    >>> round(power_iteration(h, jax.random.key(0)).value, 3)
    -4.0
    """
    arguments.check_positive_count("num_steps", num_steps)
    arguments.check_non_negative("tol", tol)
    if start is None:
        start = draw(operator, key)
    else:
        check_vector(start, operator.like, "start")
    following, norm = vt.unit(start)
    if float(norm) == 0:
        raise InputError("start must not be the zero vector")
    history, v, residual = [], following, jnp.inf
    for _ in range(num_steps):
        v = following
        following, value, residual = _step(v, operator.matvec(v))
        history.append(float(value))
        # A zero matrix has the eigenvalue 0, found at once.
        if tol and float(residual) <= tol * abs(history[-1]):
            break
    return PowerResult(history[-1], v, float(residual), np.array(history), len(history))
