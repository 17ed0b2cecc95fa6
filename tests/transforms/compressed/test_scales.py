"""The scales of a state: its paths without its names, so that a search finds one."""

from typing import NamedTuple

import jax
import numpy as np
import optax
import pytest

from jaxopt_lab.transforms.compressed.scales import Scales, scales_of


class State(NamedTuple):
    count: np.ndarray
    mu: dict


PARAMS = {"w": np.zeros(2), "b": np.zeros(1)}
MU = {"w": np.ones(2), "b": np.ones(1)}
STATE = (State(np.int32(3), MU), {"rate": np.float32(0.1), "inner": [MU, ()]})


def test_named_containers_lose_their_names_and_keep_their_paths():
    found = scales_of(STATE, PARAMS)
    named, mapped = found
    assert isinstance(named, Scales) and isinstance(mapped, Scales)
    assert named.mu is MU and named["count"] == 3
    # A tree like the parameters stays, and so do lists.
    assert mapped["inner"] == [MU, ()] and mapped.rate == np.float32(0.1)
    one, two = (jax.tree.leaves_with_path(tree) for tree in (STATE, found))
    assert [str(p) for p, _ in one] == [str(p) for p, _ in two]
    assert all(a is b for (_, a), (_, b) in zip(one, two, strict=True))


def test_a_search_by_name_finds_the_state_alone():
    both = (STATE[0], scales_of(STATE[0], PARAMS))
    assert optax.tree_utils.tree_get(both, "count") == 3
    assert optax.tree_utils.tree_get(both, "mu") is MU


def test_names_that_are_not_there():
    found = scales_of(STATE[0], PARAMS)
    with pytest.raises(AttributeError, match="^no scales called 'nu'$"):
        _ = found.nu
    assert repr(found).startswith("Scales(count=") and found != 3
    assert found == scales_of(STATE[0], PARAMS)
