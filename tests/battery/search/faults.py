"""Broken searches."""

from __future__ import annotations

import dataclasses
import itertools

from battery.faults import plant
from battery.parts.common_faults import plant_common
from battery.parts.host import OF_FUNCTIONS
from battery.search.toy import TOY, changed, draws
from jaxopt_lab.catalog.examples.decisions import small_space
from jaxopt_lab.search.driver import with_best

_calls = itertools.count()


def documented(text: str):
    """The toy with another docstring; its own where there is none."""

    def build(space):
        return draws(space)

    build.__doc__ = text or draws.__doc__
    return dataclasses.replace(TOY, name="documented", build=build)


plant_common(
    "search",
    lambda change, **header: dataclasses.replace(TOY, name="broken", **header),
    documented=documented,
    example=small_space,
    without=OF_FUNCTIONS,
)


def counting(candidate, state, key):
    return {**candidate, "count": 1 + next(_calls) % 3}


def in_place(state, candidate, score):
    state.update(with_best(state, candidate, score))
    return dict(state)


def too_far(candidate, state, key):
    return {**candidate, "rate": 2 * candidate["rate"]}


def one_name_less(candidate, state, key):
    return {name: x for name, x in candidate.items() if name != "name"}


def newest(state, candidate, score):
    return {**with_best(state, candidate, score), "best": candidate, "score": score}


def with_set(state, candidate, score):
    return {**with_best(state, candidate, score), "seen": {1, 2}}


def tuple_told(state, candidate, score):
    return {**with_best(state, candidate, score), "last": (1,)}


def after_a_list(candidate, state, key):
    last = isinstance(state.get("last"), list)
    return {**candidate, "count": 1} if last else {**candidate, "count": 2}


def one_side(candidate, state, key):
    return {**candidate, "name": "left"}


def narrow(candidate, state, key):
    rate = 0.2 if candidate["rate"] < 0.2 else candidate["rate"]
    return {**candidate, "rate": rate}


def the_first(state, candidate, score):
    return with_best(state, candidate, score[0] if isinstance(score, list) else score)


def shifted(candidate, state, key):
    return {**candidate, "count": min(candidate["count"] + 1, 4)}


FAULTS = (
    ("counts calls", "deterministic", "another candidate", changed(ask=counting)),
    ("in place", "deterministic", "changes the state", changed(tell=in_place)),
    (
        "one candidate",
        "deterministic",
        "every key",
        changed(ask=lambda c, s, k: {"rate": 0.1, "count": 3, "name": "right"}),
    ),
    ("outside", "inside", "rate = .* is not in", changed(ask=too_far)),
    ("a name less", "inside", "a candidate names", changed(ask=one_name_less)),
    ("the newest", "best", "the best is", changed(tell=newest)),
    ("a set", "resumes", "does not survive JSON", changed(tell=with_set)),
    (
        "a tuple",
        "resumes",
        "resumed from JSON it asks",
        changed(tell=tuple_told, ask=after_a_list),
    ),
    ("one side", "optimum", "from the optimum", changed(ask=one_side)),
    ("narrow", "against_random", "below that of random", changed(ask=narrow)),
    ("lists", "several", "its row says False", changed(tell=the_first)),
    ("shifted", "neutral", "of one candidate", changed(ask=shifted)),
)
for name, aim, words, row in FAULTS:
    plant("search", name, aim, words, row)
