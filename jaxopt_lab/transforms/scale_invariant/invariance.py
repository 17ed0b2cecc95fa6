"""The parameters whose scale changes nothing, found numerically."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import jax
import jax.numpy as jnp

from jaxopt_lab.core import trees
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.options import NON_NEGATIVE, check_arguments
from jaxopt_lab.core.typing import Params, PyTree

_FACTORS = (0.5, 2.0)


def scale_invariant_mask(
    fn: Callable[..., Any],
    params: Params,
    *args: Any,
    rtol: Annotated[float, NON_NEGATIVE] = 1e-3,
) -> PyTree:
    r"""Mask of the tensors whose length does not change a function.

    A tensor W of two axes or more is marked if, for both factors c = 1/2 and 2,

    .. math::
        \|f(c W) - f(W)\| \le \mathrm{rtol} \, \|f(W)\|

    with all other parameters as they are. The ``eps`` of a normalization makes the
    invariance inexact, hence the tolerance.

    Args:
      fn: ``fn(params, *args)``, a loss or the outputs of a model in training mode (the
        running statistics of batch normalization do not follow a weight), any tree of
        floating arrays; deterministic.
      params: the parameters, at which the function must not be zero.
      *args: its other arguments, such as an example batch.
      rtol: accepted relative change.

    Returns:
      Tree of Python booleans like ``params``: a mask for ``normalize_and_project`` and
      ``jaxopt_lab.masked``. A tensor that ``fn`` does not use is not marked.

    Raises:
      InputError: the function is zero or not finite at ``params``.

    Cost: two evaluations for each tensor, one after another, in one program.

    >>> def apply(params, x):
    ...     y = x @ params["in"]
    ...     return (y / jnp.linalg.norm(y)) @ params["out"]
    >>> params = {"in": jnp.eye(3), "out": jnp.ones((3, 1))}
    >>> scale_invariant_mask(apply, params, jnp.array([1.0, 2.0, 3.0]))
    {'in': True, 'out': False}
    """
    check_arguments(scale_invariant_mask, locals())
    leaves, structure = jax.tree.flatten(params)
    wanted = [i for i, leaf in enumerate(leaves) if leaf.ndim >= 2 and leaf.size]
    if not wanted:
        return jax.tree.unflatten(structure, [False] * len(leaves))

    def changes(leaves: list[jax.Array], args: Any) -> tuple[jax.Array, jax.Array]:
        at = lambda x: fn(jax.tree.unflatten(structure, x), *args)
        here = at(leaves)

        def change(case: tuple[jax.Array, jax.Array]) -> jax.Array:
            number, factor = case
            moved = [
                jnp.where(number == i, x * factor.astype(x.dtype), x)
                for i, x in enumerate(leaves)
            ]
            return trees.global_norm(jax.tree.map(jnp.subtract, at(moved), here))

        cases = jnp.repeat(jnp.array(wanted), len(_FACTORS))
        factors = jnp.tile(jnp.array(_FACTORS), len(wanted))
        return trees.global_norm(here), jax.lax.map(change, (cases, factors))

    norm, found = jax.device_get(jax.jit(changes)(leaves, args))
    if not 0 < norm < float("inf"):
        raise InputError(
            f"fn must be finite and not zero at params; its norm there is {norm}"
        )
    used = _used(fn, leaves, structure, args)
    still = (found.reshape(-1, len(_FACTORS)) <= rtol * norm).all(1).tolist()
    marked = dict(zip(wanted, still, strict=True))
    mask = [marked.get(i, False) and used[i] for i in range(len(leaves))]
    return jax.tree.unflatten(structure, mask)


def _used(fn: Any, leaves: list[jax.Array], structure: Any, args: Any) -> list[bool]:
    """Whether each leaf occurs in the program of the function."""
    flat = lambda *x: fn(jax.tree.unflatten(structure, x), *args)
    jaxpr = jax.make_jaxpr(flat)(*leaves).jaxpr
    read = {id(v) for e in jaxpr.eqns for v in e.invars} | set(map(id, jaxpr.outvars))
    return [id(v) in read for v in jaxpr.invars]
