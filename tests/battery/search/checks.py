"""The checks of searches."""

from __future__ import annotations

import copy
import json
import math

import numpy as np

from battery.parts.common import register_common
from battery.parts.host import OF_FUNCTIONS
from battery.registry import check
from battery.search.subject import SearchSubject, keys
from jaxopt_lab.catalog.part import loaded
from jaxopt_lab.core.errors import InputError

register_common(SearchSubject, without=OF_FUNCTIONS)


def _told(subject: SearchSubject, search, count: int = 5):
    """The state after a few candidates."""
    state = search.init()
    for key in keys(20)[:count]:
        candidate = search.ask(state, key)
        state = search.tell(state, candidate, subject.score(candidate))
    return state


@check("search")
def deterministic(subject: SearchSubject) -> None:
    """State and key give the candidate; asking and telling change neither."""
    one, two = subject.search(), subject.search()
    state = _told(subject, one)
    before = copy.deepcopy(state)
    asked = [one.ask(state, key) for key in keys(20)]
    again = [two.ask(copy.deepcopy(before), key) for key in keys(20)]
    assert asked == again, "the same state and key give another candidate"
    one.tell(state, asked[0], 1.0)
    assert state == before, "asking or telling changes the state that was given"
    assert len({str(c) for c in asked}) > 1, "every key gives the same candidate"


@check("search")
def inside(subject: SearchSubject) -> None:
    """Every candidate lies in the space."""
    search = subject.search()
    state = search.init()
    for key in keys(100):
        candidate = search.ask(state, key)
        assert set(candidate) == set(subject.space), f"a candidate names {[*candidate]}"
        for name, value in candidate.items():
            dimension = subject.space[name]
            assert value in dimension, f"{name} = {value!r} is not in {dimension}"
        state = search.tell(state, candidate, subject.score(candidate))


@check("search")
def best(subject: SearchSubject) -> None:
    """The best of what was told is kept; NaN is never the best."""
    search = subject.search()
    state, candidates = search.init(), [search.ask(search.init(), k) for k in keys(5)]
    scores = (-1.0, math.nan, 2.0, -math.inf, 1.0)
    for candidate, score in zip(candidates, scores, strict=True):
        state = search.tell(state, candidate, score)
    kept = (state["told"], state["best"], state["score"])
    assert kept == (5, candidates[2], 2.0), f"after {scores} the best is {kept}"


@check("search")
def resumes(subject: SearchSubject) -> None:
    """With its state as JSON text between two steps it asks the same."""
    search = subject.search()
    state = _told(subject, search)
    try:
        text = json.loads(json.dumps(state))
    except TypeError as error:
        raise AssertionError(f"the state does not survive JSON: {error}") from error
    asked, again = (search.ask(s, keys(1)[0]) for s in (state, text))
    assert asked == again, f"resumed from JSON it asks {again} instead of {asked}"


@check("search")
def optimum(subject: SearchSubject) -> None:
    """It comes near the planted optimum within its budget."""
    scores = sorted(state["score"] for state in subject.runs)
    middle = scores[len(scores) // 2]
    assert middle > -0.25, f"the best candidates are {-middle:.2f} from the optimum"


@check("search")
def against_random(subject: SearchSubject) -> None:
    """It is not worse than plain random search of the same budget."""
    mine = np.sort([state["score"] for state in subject.runs])
    plain = np.sort(subject.random_scores)
    gap = plain[len(plain) // 2] - mine[len(mine) // 2]
    assert gap <= 0.1, f"its median is {gap:.2f} below that of random search"


@check("search")
def several(subject: SearchSubject) -> None:
    """It takes several scores of a candidate where its row says so, and only there."""
    search = subject.search()
    state = search.init()
    candidate = search.ask(state, keys(1)[0])
    try:
        search.tell(state, candidate, [1.0, 2.0])
        takes = True
    except InputError:
        takes = False
    said = subject.row.several
    assert takes == said, f"it takes several scores: {takes}; its row says {said}"


@check("search")
def neutral(subject: SearchSubject) -> None:
    """In a space of one candidate it is this candidate."""
    space = subject.point()
    simpler = loaded(subject.row.reduces_to.equals)
    wanted = simpler(space, [0.0] * len(space))
    search = subject.search(space)
    for key in keys(3):
        found = search.ask(search.init(), key)
        assert found == wanted, f"of one candidate, {wanted}, it makes {found}"
