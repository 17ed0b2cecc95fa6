"""One value against what the annotation of its argument accepts."""

from __future__ import annotations

import collections.abc
import inspect
import sys
import typing
from typing import Any, Literal

from jaxopt_lab.core import errors
from jaxopt_lab.core.errors import InputError, described
from jaxopt_lab.core.numbers import is_whole, known_number, may_be_scalar


def check_value(
    name: str,
    value: Any,
    kinds: tuple[Any, ...],
    interval: Any = None,
    choices: tuple[str, ...] = (),
    static: bool = False,
) -> None:
    """Refuse a value that is not among those that an annotation accepts.

    Args:
      name: name of the argument, for the message.
      value: what was given.
      kinds: the types of the annotation, a union taken apart.
      interval: accepted numbers, or ``None``.
      choices: accepted names, or empty.
      static: the value can be neither scheduled nor traced.

    Raises:
      InputError: a number out of range, an unknown name, an object of another type.

    >>> import jax
    >>> check_value("rho", "0.1", (float, jax.Array))
    Traceback (most recent call last):
      ...
    jaxopt_lab.core.errors.InputError: rho must be a number or a scalar array; got '0.1'
    """
    if value is None and type(None) in kinds:
        return
    # Beside a number, a tuple or an array a name is one of several possibilities.
    only_names = choices and all(
        k is type(None) or typing.get_origin(k) is Literal for k in kinds
    )
    if only_names or (choices and isinstance(value, str)):
        if value not in choices:
            raise errors.unknown(name, str(value), choices)
    elif kinds == (bool,):
        if type(value).__name__ not in ("bool", "bool_"):
            raise InputError(f"{name} must be True or False; got {value!r}")
    elif int in kinds and float not in kinds and not any(map(_is_array, kinds)):
        _check_whole(name, value, kinds, interval)
    elif _number_alone(kinds) and static and interval is not None:
        number = known_number(value)
        if number is None or isinstance(number, bool) or number not in interval:
            kind = interval.sentence().replace("be at", "be a number of at")
            raise InputError(f"{name} must {kind}; got {value!r}")
    elif _number_alone(kinds) and not may_be_scalar(value):
        condition = "" if interval is None else f" that must {interval.sentence()}"
        raise InputError(
            f"{name} must be {_scalar(kinds)}{condition}; got {described(value)}"
        )
    elif interval is not None:
        number = known_number(value)
        if number is not None and number not in interval:
            raise InputError(f"{name} must {interval.sentence()}; got {value}")
    elif len(kinds) == 1:
        _check_instance(name, kinds[0], value)


def _check_whole(name: str, value: Any, kinds: tuple[Any, ...], interval: Any) -> None:
    if not {int, type(None)}.issuperset(kinds) and not is_whole(value):
        return  # something else is accepted as well
    jax = sys.modules.get("jax")
    if jax is not None and isinstance(value, jax.Array):
        raise InputError(
            f"{name} must be a whole number, known when the program is traced; got "
            f"{described(value)} (jaxopt_lab.inject_hyperparams leaves such options as "
            "they are, optax.inject_hyperparams does not)"
        )
    if not is_whole(value) or (interval is not None and value not in interval):
        bounds = "" if interval is None else f" {interval.bounds()}"
        raise InputError(f"{name} must be a whole number{bounds}; got {value!r}")


def _is_array(kind: Any) -> bool:
    """Whether a type is ``jax.Array``; the catalog reads options without jax."""
    jax = sys.modules.get("jax")
    return jax is not None and kind is jax.Array


def _number_alone(kinds: tuple[Any, ...]) -> bool:
    """Whether a number is accepted, and beside it only what stands for one."""
    return float in kinds and all(
        k in (float, int, type(None))
        or _is_array(k)
        or typing.get_origin(k) is collections.abc.Callable
        for k in kinds
    )


def _scalar(kinds: tuple[Any, ...]) -> str:
    words = ["a number"]
    if any(map(_is_array, kinds)):
        words.append("a scalar array")
    if any(typing.get_origin(k) is collections.abc.Callable for k in kinds):
        words.append("a schedule")
    return " or ".join([", ".join(words[:-1]), words[-1]] if words[1:] else words)


def _check_instance(name: str, kind: Any, value: Any) -> None:
    """Refuse another object where a class of jaxopt_lab or an optimizer is asked."""
    if kind is Any or not inspect.isclass(kind) or isinstance(value, kind):
        return
    if kind.__name__ == "GradientTransformation":
        check_transformation(name, value)
    elif kind.__module__.startswith("jaxopt_lab") and not _is_protocol(kind):
        raise InputError(
            f"{name} must be of type {kind.__name__}; got {described(value)}"
        )


def check_transformation(name: str, value: Any) -> None:
    """Refuse what is no gradient transformation, such as a function that makes one.

    Args:
      name: name of the argument, for the message.
      value: what was given.

    Raises:
      InputError: it has no ``init`` and ``update``.
    """
    if hasattr(value, "init") and hasattr(value, "update"):
        return
    made = getattr(value, "__name__", "")
    hint = f": call it, {made}(...)" if callable(value) and made else ""
    raise InputError(
        f"{name} must be an optax transformation, such as optax.sgd(0.1); got "
        f"{described(value)}{hint}"
    )


def check_key(name: str, key: Any) -> None:
    """Refuse what is no typed random key.

    Args:
      name: name of the argument, for the message.
      key: what was given.

    Raises:
      InputError: it is a seed, a raw key, or something else.
    """
    import jax

    dtype = getattr(key, "dtype", None)
    if dtype is None or not jax.numpy.issubdtype(dtype, jax.dtypes.prng_key):
        raise InputError(
            f"{name} must be a typed key from jax.random.key(seed); got "
            f"{described(key)}"
        )


def check_function(name: str, value: Any) -> None:
    """Refuse what cannot be called.

    Args:
      name: name of the argument, for the message.
      value: what was given.

    Raises:
      InputError: it is no function.
    """
    if not callable(value):
        raise InputError(f"{name} must be a function; got {described(value)}")


def _is_protocol(kind: Any) -> bool:
    return getattr(kind, "_is_protocol", False)
