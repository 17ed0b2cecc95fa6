"""Factors of single parameters, by rules on their paths."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import optax

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.options import NON_NEGATIVE
from jaxopt_lab.core.trees import path_name, summary


class Rule(NamedTuple):
    """A regular expression on paths, and the factor of those that it is found in."""

    pattern: str
    factor: float


def parse(option: str, text: str) -> list[Rule]:
    """The rules in the text of an option.

    Args:
      option: its name, for messages.
      text: ``regex=factor`` pairs with semicolons between them.

    Returns:
      The rules, in order.

    Raises:
      InputError: a pair cannot be read, or a factor is out of range.

    >>> parse("rate_rules", "head=10;bias$=0.1")
    [Rule(pattern='head', factor=10.0), Rule(pattern='bias$', factor=0.1)]
    """
    rules = []
    for pair in filter(None, text.split(";")):
        pattern, equals, number = pair.rpartition("=")
        try:
            re.compile(pattern)
            factor = float(number)
        except (re.error, ValueError) as error:
            raise InputError(f"{option}: cannot read {pair!r}: {error}") from None
        if not equals or not pattern:
            raise InputError(
                f"{option}: cannot read {pair!r}; accepted: regex=factor;regex=factor"
            )
        if factor not in NON_NEGATIVE:
            raise InputError(
                f"{option}: the factor of {pattern!r} is {number}; accepted: "
                f"{NON_NEGATIVE}"
            )
        rules.append(Rule(pattern, factor))
    return rules


def factors(option: str, rules: list[Rule]) -> Callable[[Any], Any]:
    """The factor of every parameter: that of the first rule that its path contains.

    Args:
      option: name of the option, for messages.
      rules: the rules; a parameter that none is found in has 1.

    Returns:
      ``factors(params)``, a tree of numbers.

    Raises:
      InputError: (when called) a rule decides about no parameter.

    >>> factors("rate_rules", parse("rate_rules", "head=10"))({"head": 0, "x": 0})
    {'head': 10.0, 'x': 1.0}
    """

    def of(params: Any) -> Any:
        names = [path_name(path) for path, _ in jax.tree.leaves_with_path(params)]
        found: dict[str, Rule | None] = {
            name: next((r for r in rules if re.search(r.pattern, name)), None)
            for name in names
        }
        for rule in rules:
            if any(chosen is rule for chosen in found.values()):
                continue
            behind = any(re.search(rule.pattern, name) for name in names)
            why = "is found only behind an earlier rule" if behind else "is in no path"
            raise InputError(
                f"{option}: {rule.pattern!r} {why}; the paths are "
                f"{summary(names, limit=8)}"
            )

        def one(path: Any, _: Any) -> float:
            rule = found[path_name(path)]
            return 1.0 if rule is None else rule.factor

        return jax.tree_util.tree_map_with_path(one, params)

    return of


def scale_by_path(
    factors_of: Callable[[Any], Any],
) -> optax.GradientTransformation:
    """Updates times the factors of their parameters; last in a chain.

    Args:
      factors_of: from ``factors``.

    Returns:
      The transformation; no state. An update of factor 1 stays as it is.
    """

    def init(params: Any) -> optax.EmptyState:
        factors_of(params)
        return optax.EmptyState()

    def update(updates: Any, state: Any, params: Any = None) -> Any:
        del params

        def one(factor: float, u: jax.Array) -> jax.Array:
            return u if factor == 1 else (u * factor).astype(u.dtype)

        return jax.tree.map(one, factors_of(updates), updates), state

    return optax.GradientTransformation(init, update)
