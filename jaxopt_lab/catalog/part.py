"""The header that the rows of every kind share."""

from __future__ import annotations

import dataclasses
import functools
import importlib
import inspect
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from jaxopt_lab.core import errors
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.options import REQUIRED, Option, option_of


def loaded(reference: str | Callable[..., Any]) -> Any:
    """The object that a reference names.

    Args:
      reference: ``"module:attribute"``, imported on first use; or the object itself.

    Returns:
      The object.

    Raises:
      InputError: the text is no reference, or there is no such module or attribute.

    >>> loaded("math:sqrt")(4.0)
    2.0
    """
    if not isinstance(reference, str):
        return reference
    module, colon, attribute = reference.partition(":")
    if not colon:
        raise InputError(f"{reference!r} must be written module:attribute")
    try:
        found = importlib.import_module(module)
        for name in attribute.split("."):
            found = getattr(found, name)
    except (ImportError, AttributeError) as error:
        raise InputError(f"{reference} does not exist: {error}") from error
    return found


@dataclasses.dataclass(frozen=True)
class Neutral:
    """The setting at which a part is something simpler, exactly.

    Attributes:
      options: values of the part's options.
      equals: the simpler thing: the name of another row of the same kind,
        ``"module:attribute"`` of a function, or ``"inner"``, the optimizer that a
        wrapper owns. Of a wrapper, a link stands for that link before the optimizer.
      given: arguments of that thing, beside the options that it shares with the part
        by name and that ``options`` does not set.
      note: limits of the equality, or the reason why there is no closer neighbour.
    """

    options: Mapping[str, Any]
    equals: str
    note: str = ""
    given: Mapping[str, Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Part:
    """A row: one part of the house, what it is and what is known about it.

    Attributes:
      name: its name on the command line; unique over all kinds.
      summary: one line.
      build: ``"module:attribute"`` of the function or class that makes it.
      reduces_to: its neutral element.
      topic: what it is used for (``"calibration"``, ``"continual learning"``).
      options: names of the arguments that the command line offers; defaults, accepted
        values and help are those of the signature and its docstring. A mapping to
        ``Option`` for a foreign function, whose signature does not say them.
      overrides: defaults that are not those of the signature.
      fixed: options that are not scheduled or traced, although they could be.
      example: tiny inputs, as a function (or ``"module:attribute"`` of one) that
        returns keyword arguments: NumPy arrays, numbers, trees of them; ``None`` where
        the kind has inputs of its own.
      vectors: folder of its reference values in ``tests/vectors``, if any.
      paper: where it comes from.
      code: the code whose decisions we follow; empty: none.
      full: the reason why its battery waits for ``pytest --full``: it shares the code
        of another row, or is dear and has cheaper tests; empty: it runs in every suite.
      known_failures: checks of the battery that the row fails, with the reason.
    """

    kind: ClassVar[str]

    name: str
    summary: str
    build: str | Callable[..., Any]
    reduces_to: Neutral
    topic: str = ""
    options: tuple[str, ...] | Mapping[str, Option] = ()
    overrides: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    fixed: frozenset[str] = frozenset()
    example: Callable[[], Mapping[str, Any]] | str | None = None
    vectors: str = ""
    paper: str = ""
    code: str = ""
    full: str = ""
    known_failures: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def load(self) -> Any:
        """The function or class that ``build`` names.

        Returns:
          The object; its module is imported by the first call.

        Raises:
          InputError: it does not exist; the message names the row.
        """
        return self._loaded

    @functools.cached_property
    def _loaded(self) -> Any:
        try:
            return loaded(self.build)
        except InputError as error:
            raise InputError(f"{self.name}: {error}") from error.__cause__

    def make(self, *arguments: Any, **options: Any) -> Any:
        """The part with these options, defaults for the others.

        Args:
          *arguments: arguments that are no options and come first (the sizes of a
            layer, the optimizer inside a wrapper).
          **options: values by name.

        Returns:
          The result of the call of ``load()``.

        Raises:
          InputError: an unknown name, or a value out of range.

        >>> from jaxopt_lab import catalog
        >>> tx = catalog.get("momentum").make(learning_rate=0.1)
        """
        return self.load()(*arguments, **self.checked(options))

    def inputs(self) -> dict[str, Any]:
        """The example's keyword arguments; empty where there is none."""
        return {} if self.example is None else dict(loaded(self.example)())

    @functools.cached_property
    def details(self) -> Mapping[str, Option]:
        """The options with default, help, accepted values; complete and in order."""
        if isinstance(self.options, Mapping):
            return self.options
        return {name: self._detail(name) for name in self.options}

    def _detail(self, name: str) -> Option:
        option = option_of(self.load(), name)
        if name in self.overrides:
            option = dataclasses.replace(option, default=self.overrides[name])
        if option.default is REQUIRED:
            raise InputError(f"{self.name}: option {name} has no default")
        if name in self.fixed:
            option = dataclasses.replace(option, static=True)
        return option

    @property
    def static(self) -> frozenset[str]:
        """Names of the options that cannot be scheduled or traced."""
        return frozenset(name for name, opt in self.details.items() if opt.static)

    @property
    def numeric(self) -> tuple[str, ...]:
        """Names of the options that can."""
        return tuple(n for n, opt in self.details.items() if not opt.static)

    def defaults(self) -> dict[str, Any]:
        """The default value of every option."""
        return {name: option.default for name, option in self.details.items()}

    def checked(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """All options, the given ones in place of their defaults.

        Args:
          options: values by name; numbers, schedules or traced scalars.

        Returns:
          The complete set.

        Raises:
          InputError: an unknown name, or a value out of range.
        """
        for name, value in options.items():
            if name not in self.options:
                raise errors.unknown(f"option of {self.name}", name, self.options)
            self.details[name].checked(name, value)
        return {**self.defaults(), **options}

    def faults(self) -> list[str]:
        """Everything that is wrong with the row, a line each.

        Returns:
          Lines that begin with the row's name: a ``build`` or an example that does not
          exist, an option that the function does not have, no neutral element, ...
        """
        found = []
        if not isinstance(self.reduces_to, Neutral):
            found.append(f"{self.name}: reduces_to must be a Neutral; there is none")
        else:
            extra = set(self.reduces_to.options) - set(self.options)
            arguments = set(_parameters(self))
            found += [
                f"{self.name}: reduces_to sets {name}, which is no argument"
                for name in sorted(extra - arguments)
            ]
        for attempt in (self.load, lambda: self.details, self.inputs):
            try:
                attempt()
            except InputError as error:
                found.append(str(error))
        return [
            line if line.startswith(self.name) else f"{self.name}: {line}"
            for line in dict.fromkeys(found)
        ]


def _parameters(row: Part) -> tuple[str, ...]:
    try:
        return tuple(inspect.signature(row.load()).parameters)
    except (InputError, ValueError, TypeError):
        return ()
