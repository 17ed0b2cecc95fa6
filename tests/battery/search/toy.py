"""A sound search, small enough to be broken in one place."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from jaxopt_lab.catalog.examples.decisions import small_space
from jaxopt_lab.catalog.schema import Neutral, Search
from jaxopt_lab.search import Search as Part
from jaxopt_lab.search import candidate_at
from jaxopt_lab.search.driver import fresh, with_best


def draws(space: Any) -> Part:
    """Candidates from the bits of the key.

    Args:
      space: dimensions by name.

    Returns:
      The search.

    >>> draws({}).ask({}, jax.random.key(0))
    {}
    """

    def ask(state: Any, key: Any) -> Any:
        rng = np.random.default_rng(np.asarray(jax.random.key_data(key)))
        return candidate_at(space, rng.random(len(space)))

    return Part(fresh, ask, with_best)


TOY = Search(
    name="draws",
    summary="the toy",
    build=draws,
    reduces_to=Neutral({}, candidate_at),  # type: ignore[arg-type]
    example=small_space,
    space="any",
    budget="any",
)
TOYS = (TOY,)


def changed(
    *,
    init: Callable[[Any], Any] | None = None,
    ask: Callable[[Any, Any, Any], Any] | None = None,
    tell: Callable[..., Any] | None = None,
    **header: Any,
) -> Search:
    """The toy with another ``init(state)``, ``ask(candidate, state, key)`` or tell."""

    def build(space: Any) -> Part:
        sound = draws(space)

        def asking(state: Any, key: Any) -> Any:
            candidate = sound.ask(state, key)
            return candidate if ask is None else ask(candidate, state, key)

        first = sound.init if init is None else lambda: init(sound.init())
        return Part(first, asking, tell or sound.tell)

    build.__doc__ = draws.__doc__
    return dataclasses.replace(TOY, name="broken", build=build, **header)
