"""Checks of arguments, with errors that name the argument or show the call."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxopt_lab.core import trees
from jaxopt_lab.core.errors import InputError, described
from jaxopt_lab.core.numbers import is_whole, known_number
from jaxopt_lab.core.typing import GradFn, Params, PyTree, Scalar, ScalarOrSchedule

NO_EXAMPLE_LOSSES = (
    "selecting examples needs the loss of each: pass "
    "grad_fn=jaxopt_lab.batch_grad(loss_fn, batch, example_losses=...)"
)


def value_at(value: ScalarOrSchedule, count: jax.Array) -> Scalar:
    """A hyper-parameter at a step.

    Args:
      value: a number, a traced scalar, or a schedule.
      count: number of updates so far.

    Returns:
      The number, or what the schedule gives. A number of NumPy is one of Python, which
      leaves float32 what it is where 64 bits are enabled.
    """
    if callable(value):
        return value(count)
    number = known_number(value)
    return value if number is None else number


def increment(count: jax.Array) -> jax.Array:
    """The number of updates after one more; the largest int stays what it is.

    Args:
      count: integer scalar.

    Returns:
      ``count + 1``, of the same dtype.
    """
    return jnp.asarray(optax.safe_increment(count))


def check_non_negative(name: str, value: Any) -> None:
    """Refuse a Python number below zero; schedules and traced values pass.

    Args:
      name: name of the argument, for the message.
      value: what was given.

    Raises:
      InputError: it is negative or NaN.
    """
    number = known_number(value)
    if number is not None and not number >= 0:
        raise InputError(f"{name} must be at least 0; got {value}")


def check_unit(name: str, value: Any) -> None:
    """Refuse a Python number outside of [0, 1]; schedules and traced values pass.

    Args:
      name: name of the argument, for the message.
      value: what was given.

    Raises:
      InputError: it is out of range or NaN.
    """
    number = known_number(value)
    if number is not None and not 0 <= number <= 1:
        raise InputError(f"{name} must lie in [0, 1]; got {value}")


def is_integer(value: Any, low: int | None = None, high: int | None = None) -> bool:
    """Whether ``value`` is a whole number, no boolean, between two bounds.

    Args:
      value: anything.
      low: the least accepted, or ``None``.
      high: the largest accepted, or ``None``.

    Returns:
      A Python boolean.
    """
    if not is_whole(value):
        return False
    return (low is None or value >= low) and (high is None or value <= high)


def check_integer(
    name: str, value: Any, *, low: int | None = None, high: int | None = None
) -> None:
    """Refuse anything but a whole number between two bounds.

    Args:
      name: name of the argument, for the message.
      value: what was given.
      low: the least accepted, or ``None``.
      high: the largest accepted, or ``None``.

    Raises:
      InputError: it is no integer of Python or NumPy, a boolean, or out of bounds.

    >>> check_integer("capacity", 5, low=0)
    """
    if is_integer(value, low, high):
        return
    bounds = ""
    if low is not None and high is not None:
        bounds = f" from {low} to {high}"
    elif low is not None:
        bounds = f" of at least {low}"
    elif high is not None:
        bounds = f" of at most {high}"
    raise InputError(f"{name} must be a whole number{bounds}; got {value!r}")


def check_positive_count(name: str, value: Any) -> None:
    """``check_integer`` with the bound of most arguments, at least 1.

    Args:
      name: name of the argument, for the message.
      value: what was given.

    Raises:
      InputError: it is no whole number, or less than 1.
    """
    check_integer(name, value, low=1)


def as_number(name: str, value: Any) -> float:
    """A real number on the host as one of Python.

    Args:
      name: name of the argument, for the message.
      value: a number of Python, NumPy or JAX.

    Returns:
      The number, which may be NaN.

    Raises:
      InputError: it is none, such as ``None`` or several of them.

    >>> as_number("score", jnp.array(2))
    2.0
    """
    try:
        if not np.iscomplexobj(value):
            return float(value)
    except (TypeError, ValueError):
        pass
    raise InputError(f"{name} must be a number; got {described(value)}")


def require_grad_fn(
    transform: str, params: Params | None, grad_fn: GradFn | None
) -> tuple[Params, GradFn]:
    """``params`` and ``grad_fn`` of an update, or an error that shows the call.

    Args:
      transform: name of the transformation, for the message.
      params: the ``params`` argument of its update.
      grad_fn: the ``grad_fn`` argument of its update.

    Returns:
      ``(params, grad_fn)``, both present.

    Raises:
      InputError: one is missing.
    """
    call = (
        "tx.update(grads, state, params, grad_fn=jaxopt_lab.batch_grad(loss_fn, batch))"
    )
    if params is None:
        raise InputError(f"{transform} needs params: call {call}")
    if grad_fn is None:
        raise InputError(
            f"{transform} needs grad_fn: call {call}; make_train_step passes it by "
            "itself, optax.MultiSteps(...).gradient_transformation() drops it (use "
            "make_train_step(..., micro_batches=) instead), and so does flax's "
            "TrainState.apply_gradients (use jaxopt_lab.training.apply_gradients)"
        )
    return params, grad_fn


def require_shards(transform: str, grad_fn: GradFn) -> Any:
    """``grad_fn`` if it knows its batch.

    Args:
      transform: name of the transformation, for the message.
      grad_fn: the gradient function.

    Returns:
      The same object.

    Raises:
      InputError: it is a plain function.
    """
    if not hasattr(grad_fn, "shard"):
        raise InputError(
            f"{transform} needs the gradients of parts of the batch, which a plain "
            "function does not give: pass grad_fn=jaxopt_lab.batch_grad(loss_fn, batch)"
        )
    return grad_fn


def require_examples(grad_fn: GradFn) -> Any:
    """``grad_fn`` if it can tell its examples apart.

    Args:
      grad_fn: the gradient function.

    Returns:
      The same object.

    Raises:
      InputError: it is not made by ``batch_grad``.
    """
    if not hasattr(grad_fn, "on_examples"):
        raise InputError(NO_EXAMPLE_LOSSES)
    return grad_fn


def require_float32(
    transform: str, params: Params, mask: PyTree, *, castable: bool = False
) -> None:
    """Refuse to perturb parameters whose type would swallow the perturbation.

    Args:
      transform: name of the transformation, for the message.
      params: the parameters.
      mask: tree of booleans; only leaves under True are looked at.
      castable: whether the transformation has an argument ``compute_dtype``.

    Raises:
      InputError: a floating leaf under the mask is narrower than float32.
    """
    pairs = zip(trees.leaves_with_path(params), jax.tree.leaves(mask), strict=True)
    for (path, leaf), moved in pairs:
        if moved is False or not trees.is_floating(leaf):
            continue
        dtype = jnp.result_type(leaf)
        if jnp.finfo(dtype).bits < 32:
            name = trees.path_name(path) or "parameters"
            cast = "; or pass compute_dtype=jnp.float32 if the loss takes both"
            raise InputError(
                f"{transform} cannot perturb {name} in {dtype}: "
                "most of a small perturbation is lost in rounding. Keep a float32 "
                "master copy as the parameters and cast inside the loss: "
                f"loss_fn(jaxopt_lab.core.trees.cast(params, jnp.{dtype}), batch)"
                + castable
                * cast
            )


def require_real(
    method: str, params: Params, mask: PyTree | None = None, *, of: str = "parameters"
) -> None:
    """Refuse complex parameters, in a method that has no rule for them.

    To be called at ``init``; an accumulation in float32 would drop the imaginary parts
    without a word.

    Args:
      method: its name, for the message.
      params: the parameters; arrays, their shapes, or Python numbers.
      mask: tree of booleans; only leaves under True are looked at. Default: all.
      of: meaning of the leaves, for the message.

    Raises:
      InputError: a leaf is complex.

    >>> require_real("microadam", {"w": jnp.zeros(2)})
    >>> require_real("microadam", {"w": jnp.zeros(2, jnp.complex64)})
    Traceback (most recent call last):
    ...
    jaxopt_lab.core.errors.InputError: microadam takes real parameters; got complex64 \
for 'w': keep its real and imaginary parts as two real leaves
    """
    leaves = trees.leaves_with_path(params)
    looked_at = [True] * len(leaves) if mask is None else jax.tree.leaves(mask)
    for (path, leaf), checked in zip(leaves, looked_at, strict=True):
        dtype = jnp.result_type(leaf)
        if checked is False or not jnp.issubdtype(dtype, jnp.complexfloating):
            continue
        where = f" for {trees.path_name(path)!r}" if path else ""
        raise InputError(
            f"{method} takes real {of}; got {dtype}{where}: keep its real and "
            "imaginary parts as two real leaves"
        )
