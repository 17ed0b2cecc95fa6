"""Recorded trajectories of the authors' code, buffer included."""

import jax
import numpy as np
import pytest
from support import replay, vectors

import jaxopt_lab
from jaxopt_lab.transforms import memory

FOLDERS = {
    "adam_cm": 6,
    "adam_cg": 4,
    "sgd_cg": 3,
    "rmsprop_cg": 2,
    "cg_aggregators": 12,
}
CASES = [(folder, name) for folder in FOLDERS for name in vectors.cases(folder)]
NAMES = {
    "topC": "capacity",
    "lr": "learning_rate",
    "aggr": "aggregate",
    "decay": "priority_decay",
}


def optimizer_of(folder, case, **more):
    """The optimizer of a case, its options in our words."""
    given = dict(case.meta["hyperparameters"])
    options = {"weight_decay": 0.0}
    if "betas" in given:
        options["b1"], options["b2"] = given.pop("betas")
    if "synced" in given:
        options["priority"] = "sum_of_norms" if given.pop("synced") else "per_leaf"
    options.update({NAMES.get(name, name): value for name, value in given.items()})
    if folder == "cg_aggregators":
        # The first paper's Adam and RMSprop take the mean by default.
        options.setdefault("aggregate", "mean")
        folder = f"{case.meta['base']}_cg"
    factory = {"adam_cm": jaxopt_lab.adamw_cm}.get(folder)
    return (factory or getattr(jaxopt_lab, folder))(**{**options, **more})


def buffer_in(state):
    is_buffer = lambda x: isinstance(x, memory.PriorityBuffer)
    (found,) = [x for x in jax.tree.leaves(state, is_leaf=is_buffer) if is_buffer(x)]
    return found


def test_there_are_cases():
    for folder, number in FOLDERS.items():
        assert len(vectors.cases(folder)) == number


ONE_EACH = [(folder, vectors.cases(folder)[0]) for folder in FOLDERS]


def check_keys(case, t, buffer):
    for leaf in case.init:
        keys = buffer.keys[leaf] if isinstance(buffer.keys, dict) else buffer.keys
        wanted = case.arrays[f"state/{t}/keys/{leaf}"]
        np.testing.assert_allclose(keys, wanted, rtol=1e-12, atol=1e-14)
        assert int(buffer.size) == int(case.arrays[f"state/{t}/size/{leaf}"])


def contents(state):
    """The buffer with the momentum that the next step would begin by storing."""
    buffer = buffer_in(state)
    if buffer.waiting is None:
        return buffer
    return memory.store(buffer, state[0].mu)


def check_contents(case, buffer):
    last = case.meta["steps"] - 1
    for leaf in case.init:
        entries = case.arrays[f"state/{last}/buffer/{leaf}"]
        used = buffer.entries[leaf][: len(entries)]
        np.testing.assert_allclose(used, entries, rtol=1e-9, atol=1e-12)
        total = case.arrays[f"state/{last}/aggr_sum/{leaf}"]
        np.testing.assert_allclose(buffer.total[leaf], total, rtol=1e-9, atol=1e-12)


@pytest.mark.full(plain=["adam_cm-amsgrad", "cg_aggregators-sgd_max-mean"])
@pytest.mark.parametrize("folder, name", CASES)
def test_parity_in_float64(folder, name):
    case = vectors.load(folder, name)
    recorded = folder != "cg_aggregators"
    visit = lambda t, state: check_keys(case, t, buffer_in(state)) if recorded else None
    after, state = replay.replay(case, optimizer_of(folder, case), visit=visit)
    error = replay.worst(case, after)
    print(f"{folder}/{name}: {error:.1e}")
    assert error <= 1e-10
    if recorded:
        check_contents(case, contents(state))


@pytest.mark.full(plain=["adam_cg-default"])
@pytest.mark.parametrize("folder, name", ONE_EACH)
def test_parity_of_the_form_without_a_running_sum(folder, name):
    case = vectors.load(folder, name)
    after, _ = replay.replay(case, optimizer_of(folder, case, recompute_sum=True))
    assert replay.worst(case, after) <= 1e-10


@pytest.mark.full(plain=["sgd_cg-default"])
@pytest.mark.parametrize("folder, name", ONE_EACH)
def test_parity_in_float32(folder, name):
    # Rounding may decide otherwise which of two near keys stays, but not so early.
    case = vectors.load(folder, name)
    replay.check_float32(case, optimizer_of(folder, case), steps=10)
