"""Preconditioned curvature: the Hessian scaled by the diagonal of an optimizer."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from jaxopt_lab.core import moments, trees
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.known_values import known_values
from jaxopt_lab.core.typing import PyTree
from jaxopt_lab.curvature.operators.operator import (
    Operator,
    check_vector,
    make_operator,
    run,
)


def _scaled(root: PyTree, v: PyTree) -> PyTree:
    return jax.tree.map(lambda x, r: x / r, v, root)


@dataclasses.dataclass(frozen=True)
class _Root:
    def __call__(self, root: PyTree, v: PyTree) -> PyTree:
        return _scaled(root, v)


@dataclasses.dataclass(frozen=True)
class _Preconditioned:
    inner: Callable[[PyTree, PyTree], PyTree]

    def __call__(self, data: tuple[PyTree, PyTree], v: PyTree) -> PyTree:
        root, inner = data
        return _scaled(root, self.inner(inner, _scaled(root, v)))


def preconditioned(operator: Operator, diagonal: PyTree) -> Operator:
    r"""An operator between the inverse roots of a diagonal.

    .. math:: D^{-1/2} H D^{-1/2}

    It has the eigenvalues of :math:`D^{-1} H`, by which an update
    :math:`w \leftarrow w - \eta D^{-1} g` is stable or not (below :math:`2/\eta`), and
    is symmetric besides. Its eigenvectors are those of :math:`D^{-1} H` times
    :math:`D^{1/2}`.

    Args:
      operator: H.
      diagonal: D, a tree like the operator's vectors or like the whole parameters
        (entries outside of the operator's mask are not used); positive. For Adam:
        ``adam_diagonal(opt_state)``.

    Returns:
      An ``Operator`` over the same vectors.

    Raises:
      InputError: the diagonal does not fit, or has an entry that is not positive.

    >>> import jax.numpy as jnp
    >>> from jaxopt_lab import curvature
    >>> h = curvature.linear_operator(lambda v: 6 * v, jnp.zeros(2))
    >>> p = preconditioned(h, jnp.array([2.0, 3.0]))
    >>> [round(float(x), 5) for x in p.matvec(jnp.ones(2))]
    [3.0, 2.0]

    Reference: Cohen, Ghorbani, Krishnan, Agarwal, Medapati, Badura, Suo, Cardoze,
    Nado, Dahl and Gilmer, "Adaptive gradient methods at the edge of stability",
    arXiv:2207.14484.
    """
    root = _root(operator.like, diagonal)
    if operator.apply is not None:
        data = (root, operator.data)
        return make_operator(_Preconditioned(operator.apply), data, operator.like)

    def matvec(v: PyTree) -> PyTree:
        check_vector(v, operator.like)
        return run(_Root(), root, operator.matvec(run(_Root(), root, v)))

    return Operator(matvec, operator.like, operator.size)


def _root(like: PyTree, diagonal: PyTree) -> PyTree:
    def one(shape: Any, d: Any) -> Any:
        if shape is None:
            return None
        d = jnp.asarray(d)
        if d.shape != shape.shape:
            raise InputError(
                f"diagonal does not fit the operator: expected shape {shape.shape}, "
                f"got {d.shape}"
            )
        known = known_values(d)
        if known is not None and not np.all(known > 0):
            raise InputError(
                f"diagonal must be positive; its smallest entry is {float(known.min())}"
            )
        return jnp.sqrt(d.astype(shape.dtype))

    try:
        return jax.tree.map(one, like, diagonal, is_leaf=lambda x: x is None)
    except InputError:
        raise
    except ValueError as error:
        lines = trees.differences(like, diagonal, shapes=False)
        raise InputError(
            f"diagonal does not fit the operator: {trees.summary(lines)}"
        ) from error


def adam_diagonal(
    opt_state: PyTree, *, b2: float | Array = 0.999, eps: float | Array = 1e-8
) -> PyTree:
    r"""The diagonal preconditioner of Adam, from its state.

    .. math:: D = \sqrt{\nu / (1 - b_2^t)} + \epsilon

    Args:
      opt_state: state of an optimizer with one ``optax.scale_by_adam`` in it (adam,
        adamw, ..., in any chain).
      b2: decay of its second moment, which the state does not hold.
      eps: its term added to the root.

    Returns:
      A tree like the parameters. At step 0, where Adam has no moment yet, all entries
      are ``eps``.

    Raises:
      InputError: there is no such state, or more than one.

    >>> import jax.numpy as jnp, optax
    >>> tx = optax.adam(0.1)
    >>> params = jnp.array([3.0])
    >>> _, state = tx.update(jnp.array([4.0]), tx.init(params), params)
    >>> round(float(adam_diagonal(state)[0]), 3)
    4.0
    """
    kind = optax.ScaleByAdamState
    leaves = jax.tree.leaves(opt_state, is_leaf=lambda x: isinstance(x, kind))
    found = [x for x in leaves if isinstance(x, kind)]
    if len(found) != 1:
        raise InputError(
            "opt_state must hold the state of one optax.scale_by_adam; found "
            f"{len(found)}"
        )
    count = jnp.asarray(found[0].count)

    def one(nu: Array) -> Array:
        nu = nu.astype(trees.accumulation_dtype(nu.dtype))
        correction = moments.bias_correction(b2, count, nu.dtype)
        hat = trees.safe_divide(nu, jnp.broadcast_to(correction, nu.shape))
        return trees.safe_sqrt(hat) + jnp.asarray(eps, nu.dtype)

    return jax.tree.map(one, found[0].nu)
