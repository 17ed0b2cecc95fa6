"""The conservative explorer: few changes of the best, guided by entropies."""

import json
import math

import jax
import numpy as np
import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.search import (
    Choice,
    Integers,
    Interval,
    conservative_explorer,
    guide_classes,
)

KEYS = [jax.random.wrap_key_data(np.array([6, i], np.uint32)) for i in range(300)]
SPACE = {"a": Choice(tuple("pqr")), "b": Integers(1, 5), "c": Choice(("x", "y"))}
TABLE = {"p": 0.1, "q": 0.9, "r": 0.4}


def score(c):
    return TABLE[c["a"]] - abs(c["b"] - 4) / 5 + 0.3 * (c["c"] == "y")


@pytest.mark.parametrize("changed", [1, 2])
def test_a_child_is_the_best_but_for_few_dimensions(changed):
    search = conservative_explorer(SPACE, changed=changed)
    state = search.init()
    for key in KEYS[:60]:
        candidate = search.ask(state, key)
        assert candidate == search.ask(json.loads(json.dumps(state)), key)
        if state["best"] is not None:
            apart = sum(candidate[n] != state["best"][n] for n in SPACE)
            assert apart <= changed
        state = search.tell(state, candidate, score(candidate))
    assert state["best"] == {"a": "q", "b": 4, "c": "y"}


def test_classes_are_drawn_in_proportion_to_their_entropies():
    entropies = {"a": 0.0, "b": 1.0, "c": 3.0}
    drawn = [guide_classes(key, entropies, num=1)[0] for key in KEYS]
    assert "a" not in drawn and 0.6 < drawn.count("c") / len(drawn) < 0.9
    assert all(guide_classes(k, {"a": 0.0, "b": 0.2}, num=1) == ["b"] for k in KEYS[:9])
    assert sorted(guide_classes(KEYS[0], entropies, num=3)) == ["a", "b", "c"]
    assert len(set(guide_classes(KEYS[0], {"a": 0.0, "b": 0.0}, num=2))) == 2


def test_only_what_was_changed_learns_and_nan_teaches_nothing():
    search = conservative_explorer(SPACE)
    best = {"a": "p", "b": 1, "c": "x"}
    state = search.tell(search.init(), best, 0.0)
    one = search.tell(state, {**best, "b": 3}, 0.5)
    assert one["logits"]["b"][2] > 0 and one["logits"]["a"] == [0.0] * 3
    assert one["best"]["b"] == 3 and math.isclose(one["baseline"], 0.05)
    other = search.tell(state, {**best, "b": 3}, math.nan)
    assert other["logits"] == state["logits"] and other["best"] == best


def test_bad_input():
    with pytest.raises(InputError, match="must be a Choice or Integers"):
        conservative_explorer({"x": Interval(0.0, 1.0)})
    with pytest.raises(InputError, match="num must be at most 1"):
        guide_classes(KEYS[0], {"a": 1.0}, num=2)
