"""Temporal memory against a loop in NumPy, and PRES's prediction and correction."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.layers import (
    Events,
    IncrementTracker,
    memory_coherence,
    predict_memory,
    prediction_correction,
    restarted,
    temporal_memory,
    tracker_moments,
    tracker_update,
)

RNG = np.random.default_rng(0)
N, D, F, B = 5, 3, 2, 6
BASE = temporal_memory(D, event_features=F, time_features=4, param_dtype=jnp.float64)
PRES = prediction_correction(BASE, components=2)
EQUAL = prediction_correction(BASE, gate=1.0)
FIXED = prediction_correction(BASE, gate=0.3)
EVENTS = Events(
    np.array([0, 1, 0, 3, 2, 0]),
    np.array([1, 2, 1, 3, 0, 4]),
    np.array([1.0, 2.0, 2.0, 3.0, 5.0, 6.0]),
    RNG.normal(size=(B, F)),
    np.array([0, 1, 1, 0, 1, 0]),
)
RATES: Any = RNG.normal(size=(8, D))
KINDS: Any = np.array([0, 1, 1, 0, 1, 1, 0, 2])
START = RNG.normal(size=(N, D))
ORDER = RNG.permutation(N)
PLACE = np.argsort(ORDER)
CLOSE: Any = {"rtol": 1e-12, "atol": 1e-13}


@functools.cache
def found():
    """Everything that is compared, in one program."""

    def run(events, one_each):
        params = PRES.init(jax.random.key(0))
        base = {n: p for n, p in params.items() if n != "gate_logit"}
        began = lambda m: m.start(N)._replace(memory=jnp.asarray(START))
        out: Any = {"params": base}
        out["batch"] = BASE.update(base, began(BASE), events)
        out["equal"] = EQUAL.update(params, began(EQUAL), events)
        padding = [
            jnp.concatenate([a, a[:2] * np.nan if a.dtype == float else a[:2] + N])
            for a in events[:5]
        ]
        padded = Events(*padding)._replace(mask=np.arange(B + 2) < B)
        ends = [PLACE[np.asarray(e)] for e in (EVENTS.sources, EVENTS.targets)]
        turned = events._replace(sources=ends[0], targets=ends[1])
        moved = BASE.start(N)._replace(memory=jnp.asarray(START[ORDER]))
        out["permuted"] = BASE.update(base, moved, turned)[0]
        out["padded"] = BASE.update(base, began(BASE), padded)[0]
        scan = lambda s, e: (BASE.update(base, s, e)[0], None)
        out["sequence"] = jax.lax.scan(scan, began(BASE), one_each)[0]
        out["fixed"] = FIXED.update(params, began(FIXED), events)
        first = PRES.update(params, began(PRES), events)[0]

        def loss(params):
            later = events._replace(times=events.times + 7)
            state, changed = PRES.update(params, first, later)
            penalty = memory_coherence(changed.new, changed.old, changed.where)
            return jnp.sum(state.memory**2), penalty

        out["first"] = first
        out["slopes"] = jax.jacobian(loss)(params)
        empty = PRES.start(N).tracker
        halves = tracker_update(
            tracker_update(empty, RATES[4:], KINDS[4:]), RATES[:4], KINDS[:4]
        )
        out["tracker"] = halves, tracker_update(empty, RATES, KINDS)
        out["moments"] = tracker_moments(halves)
        out["nothing"] = predict_memory(jnp.asarray(START), jnp.ones(N), empty)
        out["draws"] = predict_memory(
            jnp.zeros((4000, D)), jnp.ones(4000), halves, jax.random.key(3)
        )
        speeds = jnp.ones((4, D)) * jnp.array([[1.0, 2, 3]])
        moving = tracker_update(empty, speeds, jnp.zeros(4, int))
        out["moved"] = predict_memory(jnp.asarray(START), jnp.arange(5.0), moving)
        old, new = jnp.asarray(START), jnp.asarray(RNG.normal(size=(N, D)))
        cases = [(old, None), (3 * old, None), (-old, None), (new, np.arange(N) < 2)]
        turned = [memory_coherence(z, old, w) for z, w in cases]
        out["coherence"] = turned, memory_coherence(new, 0 * old), new
        return out

    each = jax.tree.map(lambda a: np.asarray(a)[:, None], EVENTS)
    return jax.tree.map(
        np.asarray, jax.jit(run)(jax.tree.map(jnp.asarray, EVENTS), each)
    )


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def updated(p, memory, last, i, u, v):
    """The memory of u after event i, in NumPy."""
    since = EVENTS.times[i] - last[u]
    phi = np.cos(since * p["time_rate"] + p["time_shift"])
    x = np.concatenate([memory[u], memory[v], phi, EVENTS.features[i]])
    r, z, n = np.split(x @ p["message"] + p["message_bias"], 3)
    q, y, m = np.split(memory[u] @ p["memory"] + p["memory_bias"], 3)
    keep = sigmoid(z + y)
    return (1 - keep) * np.tanh(n + sigmoid(r + q) * m) + keep * memory[u]


@pytest.mark.full
@pytest.mark.parametrize("name", ["batch", "sequence"])
def test_the_last_event_of_a_node_counts(name):
    p, memory, last = found()["params"], START.copy(), np.zeros(N)
    new, times = memory.copy(), last.copy()
    for i in range(B):
        before = (memory, last) if name == "batch" else (new.copy(), times.copy())
        pair = int(EVENTS.sources[i]), int(EVENTS.targets[i])
        for u, v in (pair, pair[::-1]):
            new[u] = updated(p, *before, i, u, v)
            times[u] = EVENTS.times[i]
    state = found()["batch"][0] if name == "batch" else found()["sequence"]
    np.testing.assert_allclose(state.memory, new, **CLOSE)
    np.testing.assert_array_equal(state.last_time, times)


def test_padding_changes_nothing():
    for a, b in zip(found()["padded"][:2], found()["batch"][0][:2], strict=True):
        np.testing.assert_array_equal(a, b)


def test_nodes_by_other_numbers_have_the_same_memories():
    state, plain = found()["permuted"], found()["batch"][0]
    np.testing.assert_allclose(state.memory, plain.memory[ORDER], **CLOSE)
    np.testing.assert_array_equal(state.last_time, plain.last_time[ORDER])


def test_a_gate_of_one_is_the_memory_itself():
    (one, changed), (plain, rows) = found()["equal"], found()["batch"]
    np.testing.assert_array_equal(one.memory, plain.memory)
    np.testing.assert_array_equal(one.last_time, plain.last_time)
    np.testing.assert_array_equal(changed.new, rows.new)


def test_what_is_stored_is_mixed_with_the_prediction():
    # A first batch predicts that nothing changes.
    (state, changed), (_, rows) = found()["fixed"], found()["batch"]
    want = 0.7 * rows.old + 0.3 * rows.new
    np.testing.assert_allclose(changed.new, want, **CLOSE)
    np.testing.assert_allclose(
        state.memory[rows.nodes[rows.where]], want[rows.where], **CLOSE
    )
    rates = ((want - rows.old) / rows.elapsed[:, None])[rows.where]
    np.testing.assert_allclose(state.tracker.total[0], rates.sum(0), **CLOSE)
    assert state.tracker.count[0] == rows.where.sum() == N


def test_components_are_the_classes_of_the_events():
    rows = found()["batch"][1]
    counts = np.bincount(rows.classes[rows.where], minlength=2)
    np.testing.assert_array_equal(found()["first"].tracker.count, counts)


def test_a_tracker_has_the_moments_of_all_rates_in_any_order():
    one, two = found()["tracker"]
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, **CLOSE), one, two)
    mean, variance = found()["moments"]
    for c in range(2):
        own = RATES[c == KINDS]
        np.testing.assert_allclose(mean[c], own.mean(0), **CLOSE)
        np.testing.assert_allclose(variance[c], own.var(0), **CLOSE)
    np.testing.assert_array_equal(found()["nothing"], START)
    known = RATES[KINDS < 2]
    draws = found()["draws"]
    np.testing.assert_allclose(draws.mean(0), known.mean(0), atol=0.1)
    np.testing.assert_allclose(draws.var(0), known.var(0), rtol=0.15)


def test_a_memory_of_constant_velocity_is_predicted_exactly():
    want = START + np.arange(5)[:, None] * np.array([1.0, 2, 3])
    np.testing.assert_allclose(found()["moved"], want, **CLOSE)


def test_coherence_is_one_minus_the_cosine():
    (same, scaled, turned, two), none, new = found()["coherence"]
    np.testing.assert_allclose([same, scaled, turned], [0, 0, 2], atol=1e-12)
    norms = np.linalg.norm(new, axis=1) * np.linalg.norm(START, axis=1)
    cosines = (new * START).sum(1) / norms
    np.testing.assert_allclose(two, 1 - cosines[:2].mean(), **CLOSE)
    assert none == 0


def test_loss_and_penalty_reach_the_gate_and_the_memory():
    for slopes in found()["slopes"]:
        assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(slopes))
        assert abs(slopes["gate_logit"]) > 1e-6
        assert np.abs(slopes["message"]).max() > 1e-6


def test_an_epoch_begins_without_memory():
    state = restarted(found()["first"])
    assert not np.any(state.memory) and not np.any(state.last_time)
    assert (
        isinstance(state.tracker, IncrementTracker) and state.tracker.count.sum() == N
    )


def shapes(memory, events):
    params = found()["params"]
    return jax.eval_shape(lambda p: memory.update(p, memory.start(N), events), params)


BAD = {
    "targets must name nodes from 0 to 4; got 9": EVENTS._replace(
        targets=np.full(B, 9)
    ),
    "sources must be whole numbers; got float64": EVENTS._replace(sources=np.zeros(B)),
    r"features must have shape \(6, 2\); got None": EVENTS._replace(features=None),
    r"times must have shape \(6,\); got \(2,\)": EVENTS._replace(times=np.ones(2)),
}


@pytest.mark.parametrize("message", BAD)
def test_bad_events(message):
    with pytest.raises(InputError, match=message):
        jax.eval_shape(
            lambda p: BASE.update(p, BASE.start(N), BAD[message]), found()["params"]
        )


def test_bad_options():
    wild = EVENTS._replace(classes=np.full(B, 2))
    with pytest.raises(InputError, match="classes must name components from 0 to 1"):
        shapes(PRES, wild)
    with pytest.raises(InputError, match="gate must lie in"):
        prediction_correction(BASE, gate=1.5)
    sampled = prediction_correction(BASE, sampled=True)
    with pytest.raises(InputError, match="needs a key"):
        jax.eval_shape(
            lambda p: sampled.update(p, sampled.start(N), EVENTS), found()["params"]
        )
