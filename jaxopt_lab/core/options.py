"""Options of parts, stated once: in the signature of the function that takes them.

``rho: Annotated[ScalarOrSchedule, NON_NEGATIVE] = 0.05`` says the default, the accepted
values and (with ``STATIC``, or for a type that is no float) that the value shapes the
program; the names of a ``Literal`` are the choices; the help is the text of the
docstring's ``Args``. ``check_arguments`` and the catalog read all of it from there.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple, TypeVar, cast

from jaxopt_lab.core import errors
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.numbers import known_number
from jaxopt_lab.core.option_texts import (
    documented,
    entries_of,
    first_sentence,
    with_arguments,
)

T = TypeVar("T")


@dataclasses.dataclass(frozen=True)
class Interval:
    """The accepted values of a number; an open end is left out of it.

    An infinite end is open, unless ``infinite`` says that infinity is accepted too.
    """

    low: float = float("-inf")
    high: float = float("inf")
    open_low: bool = False
    open_high: bool = False
    infinite: bool = False

    def __contains__(self, value: float) -> bool:
        open_low, open_high = self._open()
        above = value > self.low if open_low else value >= self.low
        below = value < self.high if open_high else value <= self.high
        return above and below

    def _open(self) -> tuple[bool, bool]:
        if self.infinite:
            return self.open_low, self.open_high
        infinity = float("inf")
        return self.open_low or self.low == -infinity, (
            self.open_high or self.high == infinity
        )

    def __str__(self) -> str:
        open_low, open_high = self._open()
        left, right = "(" if open_low else "[", ")" if open_high else "]"
        return f"{left}{self.low:g}, {self.high:g}{right}"

    def sentence(self) -> str:
        """The condition of an accepted number, for messages.

        >>> NON_NEGATIVE.sentence(), POSITIVE.sentence(), DECAY.sentence()
        ('be at least 0', 'be above 0', 'lie in [0, 1)')
        """
        if self.high != float("inf"):
            return f"lie in {self}"
        return f"be {'above' if self.open_low else 'at least'} {self.low:g}"

    def bounds(self) -> str:
        """The ends, after the noun of a whole number.

        >>> COUNT.bounds(), Interval(1, 9).bounds()
        ('of at least 1', 'from 1 to 9')
        """
        if self.high == float("inf"):
            return f"of at least {self.low:g}"
        return f"from {self.low:g} to {self.high:g}"


POSITIVE = Interval(0.0, open_low=True)
NON_NEGATIVE = Interval(0.0)
DECAY = Interval(0.0, 1.0, open_high=True)
UNIT = Interval(0.0, 1.0)
SHARE = Interval(0.0, 1.0, open_low=True)
COUNT = Interval(1.0)
COUNT_OR_ZERO = Interval(0.0)
ORDER = Interval(1.0, infinite=True)
POSITIVE_OR_INFINITE = Interval(0.0, open_low=True, infinite=True)


class _Static:
    """Type of ``STATIC``."""

    def __repr__(self) -> str:
        return "STATIC"


STATIC = _Static()
"""Marks a number that shapes the program: it can be neither scheduled nor traced."""


@dataclasses.dataclass(frozen=True)
class Option:
    """One argument of a part, as the command line offers it.

    Attributes:
      default: its default value; the type of the option is the type of this.
      help: its meaning, with its unit.
      accepted: interval of a number, or the names to choose from.
      static: it shapes the program, so it can be neither scheduled nor traced.
    """

    default: Any
    help: str
    accepted: Interval | tuple[str, ...] | None = None
    static: bool = False

    def checked(self, name: str, value: Any) -> Any:
        """``value`` if it is accepted; schedules and traced values always are.

        Args:
          name: name of the option, for the message.
          value: what was given for it.

        Returns:
          The same value.

        Raises:
          InputError: it is out of range, or none of the names.
        """
        if isinstance(self.accepted, tuple):
            if value not in self.accepted:
                raise errors.unknown(name, str(value), self.accepted)
        elif (
            isinstance(self.accepted, Interval)
            and (number := known_number(value)) is not None
            and number not in self.accepted
        ):
            raise InputError(
                f"{name}={value} is out of range; accepted: {self.accepted}"
            )
        return value

    def __str__(self) -> str:
        if isinstance(self.accepted, tuple):
            return ", ".join(self.accepted)
        if self.accepted is None:
            return type(self.default).__name__
        return f"{type(self.default).__name__} in {self.accepted}"


class Argument(NamedTuple):
    """An argument of a function, as its annotation states it.

    Attributes:
      kinds: the types of the annotation, a union taken apart.
      interval: accepted numbers, or ``None``.
      choices: accepted names, or empty.
      static: it can be neither scheduled nor traced.
    """

    kinds: tuple[Any, ...]
    interval: Interval | None
    choices: tuple[str, ...]
    static: bool


REQUIRED = inspect.Parameter.empty


def _argument(hint: Any) -> Argument:
    hint, marks = _unmarked(hint)
    union = typing.get_origin(hint) in (typing.Union, types.UnionType)
    # Marks count on the union and on one of its kinds.
    every = [_unmarked(kind) for kind in (typing.get_args(hint) if union else (hint,))]
    kinds = tuple(kind for kind, _ in every)
    marks += [mark for _, more in every for mark in more]
    choices: tuple[str, ...] = ()
    for kind in kinds:
        if typing.get_origin(kind) is Literal:
            choices += typing.get_args(kind)
    interval = next((m for m in marks if isinstance(m, Interval)), None)
    static = STATIC in marks or float not in kinds
    return Argument(kinds, interval, choices, static)


def _unmarked(hint: Any) -> tuple[Any, list[Any]]:
    marked = typing.get_origin(hint) is typing.Annotated
    kind, *marks = typing.get_args(hint) if marked else (hint,)
    return kind, marks


@functools.cache
def arguments(function: Callable[..., Any]) -> Mapping[str, Argument]:
    """The annotated arguments of a function or the fields of a dataclass.

    Args:
      function: annotated; one that was made by ``takes`` has those of its source too.

    Returns:
      Arguments by name.
    """
    source = getattr(function, "__option_source__", None)
    inherited = dict(arguments(source)) if source is not None else {}
    hints = typing.get_type_hints(inspect.unwrap(function), include_extras=True)
    own = {name: _argument(hint) for name, hint in hints.items() if name != "return"}
    return {**inherited, **own}


def check_arguments(function: Callable[..., Any], values: Mapping[str, Any]) -> None:
    """Refuse arguments outside of what the annotations of a function accept.

    Args:
      function: the function that was called, or a dataclass.
      values: its ``locals()`` on entry, or ``vars`` of an instance.

    Raises:
      InputError: a Python number outside of its interval (or NaN), something else
        than a whole number where one is asked for, or an unknown name. Schedules,
        traced values and ``None`` where the annotation allows it pass.

    >>> from typing import Annotated
    >>> def scale(factor: Annotated[float, NON_NEGATIVE]): ...
    >>> check_arguments(scale, {"factor": -1.0})
    Traceback (most recent call last):
      ...
    jaxopt_lab.core.errors.InputError: factor must be at least 0; got -1.0
    """
    # Here, for jax: the catalog reads signatures without it.
    from jaxopt_lab.core.argument_checks import check_value

    for name, argument in arguments(function).items():
        if name in values:
            check_value(name, values[name], *argument)


def takes(
    source: Callable[..., Any], *, omit: tuple[str, ...] = (), **defaults: Any
) -> Callable[[Callable[..., T]], Callable[..., T]]:
    """Give a function with ``**options`` the arguments of another, flat.

    The signature of the result lists the function's own arguments and then those of
    the source, which arrive in ``**options``, all of them; so ``inspect.signature``,
    ``help`` and ``optax.inject_hyperparams`` see them, and a call looks as if they
    were written out. Their texts take the place of ``**options`` in its docstring.

    Args:
      source: a function or a dataclass of options.
      omit: arguments of the source that the function does not take.
      **defaults: other defaults than the source's.

    Returns:
      A decorator.

    >>> def scale(factor: float = 2.0): return factor
    >>> @takes(scale, factor=3.0)
    ... def scaled(x: float, **options): return x * scale(**options)
    >>> scaled(2.0), scaled(2.0, factor=1.0), str(inspect.signature(scaled))
    (6.0, 2.0, "(x: 'float', factor: 'float' = 3.0)")
    """

    def decorate(function: Callable[..., T]) -> Callable[..., T]:
        own = inspect.signature(function)
        mine = [p for p in own.parameters.values() if p.kind is not p.VAR_KEYWORD]
        skipped = {*omit, *own.parameters}
        theirs = [
            p.replace(default=defaults.get(p.name, p.default))
            for p in inspect.signature(source).parameters.values()
            if p.name not in skipped
        ]
        parameters = sorted([*mine, *theirs], key=lambda p: p.kind)
        signature = own.replace(parameters=parameters)

        taken = {p.name for p in theirs}

        @functools.wraps(function)
        def wrapped(*args: Any, **kwargs: Any) -> T:
            try:
                bound = signature.bind(*args, **kwargs)
            except TypeError as error:
                raise TypeError(f"{function.__name__}() {error}") from None
            bound.apply_defaults()
            # The number of Python that one of NumPy is: it widens no float32.
            known = {n: known_number(v) for n, v in bound.arguments.items()}
            given = {n: v for n, v in known.items() if v is not None}
            made = function(**{**bound.arguments, **given})
            if hasattr(made, "init") and hasattr(made, "update"):
                from jaxopt_lab.core.explained import explained

                made = explained(cast(Any, made), function.__name__)
            return made

        wrapped.__signature__ = signature  # type: ignore[attr-defined]
        wrapped.__option_source__ = source  # type: ignore[attr-defined]
        told = entries_of(source)
        lines = [line for name in told if name in taken for line in told[name]]
        wrapped.__doc__ = with_arguments(function.__doc__ or "", lines)
        return wrapped

    return decorate


def option_of(function: Callable[..., Any], name: str) -> Option:
    """An option as the signature and the docstring of a function state it.

    Args:
      function: the function.
      name: one of its arguments.

    Returns:
      The option; its default is ``REQUIRED`` where the argument has none, its help is
      empty where the docstring does not speak of it.

    Raises:
      InputError: the function has no such argument.
    """
    parameters = inspect.signature(function).parameters
    if name not in parameters:
        raise errors.unknown(f"argument of {function.__name__}", name, parameters)
    argument = arguments(function).get(name, Argument((), None, (), True))
    return Option(
        parameters[name].default,
        first_sentence(documented(function).get(name, "")),
        argument.choices or argument.interval,
        argument.static,
    )
