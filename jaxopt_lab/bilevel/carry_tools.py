"""Tools for scan carries: floating leaves, stopped gradients, clipped adjoints."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jaxopt_lab.core import trees
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.typing import PyTree, Scalar


def split(tree: PyTree) -> tuple[list[Any], Callable[[list[Any]], PyTree]]:
    """Split off the floating leaves, and a function that puts them back.

    Args:
      tree: arrays of any types, typed keys too.

    Returns:
      The real and complex leaves in their order, and a function that rebuilds the
      tree from such leaves. That function keeps the leaves without derivative.
    """
    leaves, structure = jax.tree.flatten(tree)
    where = [i for i, x in enumerate(leaves) if trees.is_floating(x)]

    def join(floating: list[Any]) -> PyTree:
        full = list(leaves)
        for i, x in zip(where, floating, strict=True):
            full[i] = x
        return jax.tree.unflatten(structure, full)

    return [leaves[i] for i in where], join


def constant(fn: Callable[..., Any], *examples: PyTree) -> Callable[..., Any]:
    """The same function with all of its derivatives stopped.

    Stopping the outputs is not enough: the steps in between are still differentiated,
    and an overflowing step gives 0 * inf = NaN. So the inputs and the closed-over
    values are stopped.

    Args:
      fn: function of trees of arrays.
      *examples: example arguments, for their shapes and dtypes.

    Returns:
      A function of such arguments.
    """
    converted, closed_over = jax.closure_convert(fn, *examples)

    def run(*args: PyTree) -> Any:
        args, held = jax.lax.stop_gradient((args, closed_over))
        return converted(*args, *held)

    return run


@jax.custom_vjp
def _clipped(floating: list[jax.Array], limit: jax.Array) -> list[jax.Array]:
    del limit
    return floating


def _clipped_forward(floating: list[jax.Array], limit: jax.Array):
    return floating, limit


def _clipped_backward(limit: jax.Array, adjoint: list[jax.Array]):
    norm = trees.global_norm(adjoint)
    limit_ = limit.astype(norm.dtype)
    too_long = norm > limit_
    factor = jnp.where(too_long, limit_ / jnp.where(too_long, norm, 1), 1)

    def scaled(x: jax.Array) -> jax.Array:
        wide = x.dtype if jnp.iscomplexobj(x) else factor.dtype
        return (x.astype(wide) * factor.astype(wide)).astype(x.dtype)

    clipped = [scaled(x) for x in adjoint]
    return clipped, jnp.zeros_like(limit)


_clipped.defvjp(_clipped_forward, _clipped_backward)


def clip_adjoint(tree: PyTree, limit: Scalar) -> PyTree:
    """The identity, with an adjoint clipped to the norm ``limit``.

    Args:
      tree: arrays of any types.
      limit: largest Euclidean norm of the cotangent of all floating leaves together.

    Returns:
      The same tree. Its reverse derivative is scaled down as a whole where it is
      longer; forward mode raises jax's error for ``custom_vjp``.
    """
    floating, join = split(tree)
    return join(_clipped(floating, jnp.asarray(limit, jnp.result_type(float))))


def check_kept(expected: PyTree, got: PyTree) -> None:
    """Refuse a step that changes the type of its carry.

    Args:
      expected: the state that goes in; arrays or ``jax.ShapeDtypeStruct``.
      got: the state that comes out.

    Raises:
      InputError: the structure, a shape or a dtype differs; the paths are named.
    """
    if lines := trees.differences(expected, got):
        raise InputError(
            "step must return a state like the one that it gets; these differ: "
            + trees.summary(lines)
        )


def shapes(tree: PyTree) -> PyTree:
    """The same tree without values.

    Args:
      tree: arrays, tracers, numbers or ``jax.ShapeDtypeStruct``.

    Returns:
      A tree of ``jax.ShapeDtypeStruct``.
    """
    return jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(jnp.shape(x), jnp.result_type(x)), tree
    )
