"""The grammar einspace as the space of a search over training runs."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from jaxopt_lab.core.errors import InputError, unknown
from jaxopt_lab.lab.models.einspace import grammar_shape
from jaxopt_lab.search import Grammar, Search, einspace_evolution

SPACE = "einspace"
"""Word of ``space=``, and name of the model."""

OPTION = "model.architecture"
"""Option of training that a candidate sets."""

DRIVERS: Mapping[str, tuple[str, ...]] = {
    "regularized_evolution": ("population", "tournament"),
    "random_search": (),
}
"""Drivers that draw from a grammar, with their options."""

_NUMBERS = ("max_depth", "max_computations", "max_elements")
_LISTS: Mapping[str, type] = {
    "units": int,
    "branches": int,
    "ops": str,
    "probabilities": float,
}


def read_grammar(options: Mapping[str, str]) -> Grammar:
    """The grammar that options stand for.

    Args:
      options: fields of ``Grammar`` as words; lists with commas.

    Returns:
      The grammar.

    Raises:
      InputError: an option is unknown or cannot be read, or a value is refused.

    >>> read_grammar({"max_depth": "4", "units": "16,32"}).units
    (16, 32)
    """
    chosen: dict[str, Any] = {}
    for name, text in options.items():
        if name not in (*_NUMBERS, *_LISTS):
            raise unknown("option of the grammar", name, (*_NUMBERS, *_LISTS))
        kind = _LISTS.get(name, int)
        try:
            values = [kind(word) for word in text.split(",") if word]
        except ValueError:
            values = []
        if not values or (name in _NUMBERS and len(values) > 1):
            many = "numbers" if name in _LISTS else "a whole number"
            raise InputError(f"grammar.{name}={text} must be {many}")
        chosen[name] = tuple(values) if name in _LISTS else values[0]
    return Grammar(**chosen)


def make_grammar_driver(
    name: str, options: Mapping[str, str], grammar: Grammar, shape: tuple[int, ...]
) -> Search:
    """A search of architectures.

    Args:
      name: one of ``DRIVERS``.
      options: its options, as words.
      grammar: of the architectures.
      shape: of one example of the task.

    Returns:
      The search; its candidates have the option ``OPTION``.

    Raises:
      InputError: the driver does not draw from a grammar, or an option is unknown or
        cannot be read.

    >>> import jax
    >>> search = make_grammar_driver("random_search", {}, Grammar(), (8, 8, 1))
    >>> list(search.ask(search.init(), jax.random.key(0)))
    ['model.architecture']
    """
    if name not in DRIVERS:
        raise InputError(
            f"driver={name} does not take space={SPACE}; accepted: {', '.join(DRIVERS)}"
        )
    chosen: dict[str, Any] = {}
    for option, text in options.items():
        if option not in DRIVERS[name]:
            raise unknown(f"option of {name}", option, DRIVERS[name])
        if not text.isdecimal():
            raise InputError(f"driver.{option}={text} must be a whole number")
        chosen[option] = int(text)
    if name == "random_search":
        # Members that are never as many as the population have no children.
        chosen["population"] = sys.maxsize
    inner = einspace_evolution(grammar_shape(shape), grammar=grammar, **chosen)

    def ask(state: Any, key: Any) -> dict[str, Any]:
        return {OPTION: inner.ask(state, key)["architecture"]}

    def tell(state: Any, candidate: Mapping[str, Any], score: Any) -> Any:
        return inner.tell(state, {"architecture": candidate[OPTION]}, score)

    return Search(inner.init, ask, tell)
