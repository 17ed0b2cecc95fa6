"""Texts of options: values of another type in one line, help as paragraphs."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import itertools
import textwrap
import types
import typing
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from jaxopt_lab.core.errors import InputError


def check(kind: type, given: Mapping[str, str]) -> None:
    """Refuse texts that are no values of their options.

    Args:
      kind: dataclass of the options.
      given: texts by name; names that it has not are passed over.

    Raises:
      InputError: names the first one.
    """
    hints = typing.get_type_hints(kind)
    for name, text in given.items():
        if name in hints:
            _check(name, text, hints[name])


def _check(name: str, text: str, hint: Any) -> None:
    origin, inside = typing.get_origin(hint), typing.get_args(hint)
    if origin in (types.UnionType, typing.Union):
        (hint, *others) = [kind for kind in inside if kind is not type(None)]
        if not others and not (text == "None" and len(inside) > 1):
            _check(name, text, hint)
    elif origin is Literal:
        if text not in map(str, inside):
            names = ", ".join(map(str, inside))
            raise InputError(f"{name}={text}; accepted: {names}")
    elif origin is tuple:
        for word in text.split(","):
            _check(name, word, inside[0])
    elif hint is bool:
        if text.lower() not in ("true", "false"):
            raise InputError(f"{name}={text}; accepted: true, false")
    elif hint in (int, float):
        try:
            hint(text)
        except ValueError:
            what = "whole number" if hint is int else "number"
            raise InputError(f"{name}={text} is no {what}") from None


def paragraphs(kind: type) -> type:
    """A dataclass of options whose help texts are paragraphs, for a command's help.

    A text below an attribute has the line breaks of the source, which a terminal of
    another width would show as well.

    Args:
      kind: the dataclass.

    Returns:
      One with the same fields; ``kind`` itself where its source is not at hand.

    >>> from jaxopt_lab.lab.run_choice import RunChoice
    >>> hint = typing.get_type_hints(paragraphs(RunChoice), include_extras=True)["step"]
    >>> typing.get_args(hint)[1].help
    'step of the checkpoint: latest, best, or a number'
    """
    import tyro

    texts = _texts(kind)
    if not texts:
        return kind
    hints = typing.get_type_hints(kind, include_extras=True)
    made: list[Any] = []
    for field in dataclasses.fields(kind):
        hint = hints[field.name]
        if field.name in texts:
            hint = Annotated[hint, tyro.conf.arg(help=texts[field.name])]
        if field.default is dataclasses.MISSING:
            own = dataclasses.field(default_factory=field.default_factory)  # type: ignore[arg-type]
        else:
            own = dataclasses.field(default=field.default)
        made.append((field.name, hint, own))
    shown = dataclasses.make_dataclass(kind.__name__, made, frozen=True)
    shown.__doc__ = kind.__doc__
    return shown


def as_paragraphs(options: Any) -> Any:
    """An instance of options as one of ``paragraphs``, for its defaults."""
    values = {f.name: getattr(options, f.name) for f in dataclasses.fields(options)}
    return paragraphs(type(options))(**values)


def _texts(kind: type) -> dict[str, str]:
    """The texts below the attributes of a class and those it inherits from."""
    found: dict[str, str] = {}
    for owner in reversed(kind.__mro__):
        if not dataclasses.is_dataclass(owner):
            continue
        try:
            source = textwrap.dedent(inspect.getsource(owner))
        except (OSError, TypeError):
            continue  # a class that was made by a program
        tree = ast.parse(source).body[0]
        body = tree.body if isinstance(tree, ast.ClassDef) else []
        for one, after in itertools.pairwise(body):
            target = one.target if isinstance(one, ast.AnnAssign) else None
            value = after.value if isinstance(after, ast.Expr) else None
            if isinstance(target, ast.Name) and isinstance(value, ast.Constant):
                found[target.id] = " ".join(str(value.value).split())
    return found
