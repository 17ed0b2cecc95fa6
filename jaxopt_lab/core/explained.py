"""Errors of trees that do not belong together, told in one line."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import jax
import optax

from jaxopt_lab.core import tree_paths
from jaxopt_lab.core.errors import InputError

T = TypeVar("T", bound=optax.GradientTransformation)
_FOREIGN = (AttributeError, IndexError, KeyError, TypeError, ValueError)


def explained(tx: T, name: str) -> T:
    """A transformation that says which of its trees does not fit.

    A state of another optimizer, or a gradient without a leaf, ends somewhere inside
    of a transformation in an error of Python or JAX. Only then are the trees compared,
    so that an update that works costs nothing.

    Args:
      tx: the transformation.
      name: its name, for the message.

    Returns:
      The same, with an ``update`` that raises ``InputError`` for such trees.

    >>> import jax.numpy as jnp
    >>> tx = explained(optax.adam(0.1), "adam")
    >>> tx.update(jnp.ones(2), optax.sgd(0.1).init(jnp.ones(2)))
    Traceback (most recent call last):
      ...
    jaxopt_lab.core.errors.InputError: the state is not that of adam; got (EmptyState, \
EmptyState), pass what tx.init(params) of the same tx gave
    """
    takes_extra = isinstance(tx, optax.GradientTransformationExtraArgs)
    update = tx.update

    @functools.wraps(update)
    def checked(updates: Any, state: Any, params: Any = None, **extra: Any) -> Any:
        try:
            if takes_extra:
                return update(updates, state, params, **extra)
            return update(updates, state, params)
        except _FOREIGN as error:
            if not isinstance(error, InputError):
                _tell(tx.init, name, updates, state, params, error)
            raise

    return tx._replace(update=checked)


def _tell(
    init: Callable[[Any], Any],
    name: str,
    updates: Any,
    state: Any,
    params: Any,
    error: Exception,
) -> None:
    if params is not None:
        lines = tree_paths.differences(params, updates)
        if any("float" in line or "missing" in line for line in lines) and (
            _shapes(params) != _shapes(updates)
        ):
            raise InputError(
                f"updates must be a tree like the parameters of {name}; got one that "
                f"differs: {tree_paths.summary(lines)}"
            ) from error
    try:
        expected = jax.eval_shape(init, updates if params is None else params)
    except _FOREIGN:
        return  # the parameters themselves are at fault: the first error says so
    lines = tree_paths.differences(expected, state)
    if not lines and jax.tree.structure(expected) == jax.tree.structure(state):
        return
    if _kind(expected) != _kind(state):
        raise InputError(
            f"the state is not that of {name}; got {_kind(state)}, pass what "
            "tx.init(params) of the same tx gave"
        ) from error
    raise InputError(
        f"the state of {name} must be that of these parameters; got one that differs: "
        f"{tree_paths.summary(lines)}"
    ) from error


def _shapes(tree: Any) -> Any:
    return jax.tree.map(jax.numpy.shape, tree)


def _kind(state: Any) -> str:
    """The type of a state, the types of the parts of a chain."""
    if type(state) is tuple:
        return f"({', '.join(map(_kind, state))})"
    return type(state).__name__
