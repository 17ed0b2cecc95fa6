"""ABE against recorded trajectories, exact cases, and in a meta-learning run."""

import json
import math

import hypothesis
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import strategies as st
from support.vectors import VECTORS

from jaxopt_lab.bilevel import metalearning
from jaxopt_lab.controllers import (
    activation_moments,
    activation_stopping,
    critical_checkpoint,
    stopping_scores,
    stopping_statistics,
    task_moments,
    validation_limit,
)
from jaxopt_lab.core.errors import InputError


def load(name):
    with np.load(VECTORS / "abe" / f"{name}.npz") as file:
        arrays = {key: file[key] for key in file.files}
    return json.loads(str(arrays.pop("meta"))), arrays


@pytest.mark.parametrize("case", ["case1", "case2"])
def test_joint_choice_is_the_recorded_one(case):
    meta, arrays = load(case)
    given = arrays["batch/target_traj"], arrays["batch/source_traj"]
    scores = stopping_scores(*given, limit=meta["limit"])
    np.testing.assert_allclose(scores, arrays["out/scores"], rtol=1e-9)
    point = critical_checkpoint(*given, limit=meta["limit"])
    moment, time, layer = arrays["out/critical_moment_time_layer"]
    assert (point.moment, point.checkpoint, point.layer) == (moment, time, layer)
    np.testing.assert_allclose(point.score, arrays["out/best_score"], rtol=1e-9)


@pytest.mark.parametrize("case", "abc")
def test_stepwise_choice_is_the_recorded_one(case):
    _, arrays = load(case)
    limit = validation_limit(arrays["valid_acc"], smooth=1)
    given = arrays["target_moments"], arrays["source_moments"]
    scores = stopping_scores(*given, limit=limit)
    np.testing.assert_allclose(-scores[:, 0] / limit, arrays["pearson"], rtol=1e-9)
    point = critical_checkpoint(*given, limit=limit, select="stepwise")
    assert point.layer == arrays["critical_layer"]
    assert point.moment == arrays["critical_moment"]
    assert point.checkpoint == arrays["stop_index"]
    own = scores[point.moment, :limit, point.layer]
    np.testing.assert_allclose(own, arrays["scores"], rtol=1e-9, atol=1e-9)


def test_moments_are_the_recorded_ones():
    one = jax.jit(activation_moments)
    for case in ("case1", "case2"):
        _, arrays = load(case)
        for i in range(3):
            wanted = arrays[f"out/moments/{i}"]
            found = np.asarray(one(arrays[f"batch/acts/{i}"]))
            np.testing.assert_allclose(found, wanted, rtol=1e-12)
            # The diagonal blocks alone would be another number.
            assert not np.isclose(found[3], arrays[f"out/m4_block500_limit5/{i}"])
    for case in "ab":
        _, arrays = load(case)
        for side, layer, t in (("source", 0, 3), ("target", 1, 5)):
            h = arrays[f"activations/{side}_layer{layer}_t{t}"]
            wanted = arrays[f"{side}_moments"][:, t, layer]
            np.testing.assert_allclose(one(h), wanted, rtol=1e-9)


def _moments(h):
    """Means over tasks, with loops over pairs of features."""
    d = h.shape[-1]
    off = [np.mean(h[..., i] * h[..., j]) for i in range(d) for j in range(d) if i != j]
    squares = np.mean(np.mean(h, axis=1) ** 2), np.mean(h**2)
    return np.array([np.mean(h), *squares, np.mean(off) if off else 0])


def test_moments_of_tasks_are_the_means_of_their_moments():
    x = np.random.default_rng(0).normal(size=(3, 5, 4))
    layers = lambda params, x: [params * x, x[:, :1]]
    found = jax.jit(lambda x: task_moments(layers, 2.0, x))(x)
    wanted = np.stack([_moments(2 * x), _moments(x[..., :1])], axis=1)
    np.testing.assert_allclose(found, wanted, rtol=1e-12)
    assert found[3, 1] == 0  # one feature has no pair


def test_controller_decides_as_the_whole_trajectories():
    meta, arrays = load("case2")
    target, source = arrays["batch/target_traj"], arrays["batch/source_traj"]
    accuracy = np.r_[np.linspace(0.1, 0.9, meta["limit"]), 0.3, 0.2]
    control = activation_stopping(smooth=1, patience=2)
    state = control.init()
    for t, value in enumerate(accuracy):
        stats = stopping_statistics(value, source[:, t], target[:, t])
        decision, state = control.decide(stats, json.loads(json.dumps(state)))
        upto = slice(0, min(t, meta["limit"] - 1) + 1)
        wanted = critical_checkpoint(target[:, upto], source[:, upto]).checkpoint
        assert decision == {"checkpoint": wanted, "stop": int(t == 29)}
    assert decision["checkpoint"] == arrays["out/critical_moment_time_layer"][1]


@hypothesis.settings(deadline=None, max_examples=50, database=None, derandomize=True)
@hypothesis.given(st.integers(2, 12), st.integers(0, 10**6))
def test_scores_are_correlations(points, seed):
    rng = np.random.default_rng(seed)
    x, y = 10.0 ** rng.integers(-150, 150) * rng.normal(size=(2, 1, points, 1))
    scores = stopping_scores(x, 3 * y + 1e-3 * np.abs(y).max())[0, :, 0]
    for t in range(points - 1):
        a, b = (z[0, t:, 0] / np.abs(z).max() for z in (x, y))
        wanted = -np.corrcoef(a, b)[0, 1] * (points - t)
        np.testing.assert_allclose(scores[t], wanted, rtol=1e-7, atol=1e-7)
    assert scores[-1] == 0


@pytest.mark.parametrize("select", ["joint", "stepwise"])
def test_trajectories_that_part_nowhere_leave_validation(select):
    y = np.cumsum(np.random.default_rng(1).random((4, 9, 2)), axis=1)
    one = critical_checkpoint(y, y, select=select)
    assert (one.checkpoint, one.layer) == (8, -1)
    constant, broken = np.ones_like(y), y.copy()
    broken[:, 3:] = np.nan
    for other in (constant, broken, 0 * y, np.full_like(y, np.inf)):
        for pair in ((other, y), (y, other)):
            assert critical_checkpoint(*pair, select=select).checkpoint == 8
    # A broken layer beside a sound one is not the critical one.
    x = y.copy()
    x[..., 0], x[:, 4:, 1] = np.nan, -x[:, 4:, 1]
    point = critical_checkpoint(x, y, select="joint")
    assert point.layer == 1
    assert critical_checkpoint(x, y, threshold=math.inf).checkpoint == 8


def test_validation_limits():
    assert validation_limit([0.5, math.nan, 0.5], smooth=1) == 1
    assert validation_limit([math.nan, math.nan], smooth=3) == 1
    assert validation_limit([0.0, 0.9, 0.0, 0.5, 0.6, 0.5, 0.0], smooth=3) == 5


def test_bad_input_is_one_line():
    y = np.ones((4, 3, 2))
    for call, words in (
        (lambda: validation_limit([], smooth=1), "accuracies must be"),
        (lambda: validation_limit([1.0], smooth=2), "odd"),
        (lambda: activation_stopping(smooth=4), "odd"),
        (lambda: stopping_scores(y, y[:1]), "both the same"),
        (lambda: stopping_scores(y, y, limit=4), "limit must lie in 1 to 3"),
        (lambda: critical_checkpoint(y, y, select="best"), "select"),
        (lambda: activation_moments(np.ones((0, 3))), "at least one"),
        (lambda: activation_moments(np.ones((2, 3), complex)), "real floating"),
        (lambda: task_moments(lambda p, x: [], 0.0, np.ones((2, 3))), "no layer"),
    ):
        with pytest.raises(InputError, match=words) as raised:
            call()
        assert "\n" not in str(raised.value)
    control = activation_stopping()
    stats = stopping_statistics(0.5, np.ones((4, 2)), np.ones((4, 2)))
    _, state = control.decide(stats, control.init())
    with pytest.raises(InputError, match="number of layers"):
        control.decide({**stats, "target_m2": [1.0]}, state)


@pytest.mark.full
def test_a_meta_learning_run_is_stopped():
    """MAML on sinusoids of small phase, the target of another one, no target labels."""

    def layers(params, x):
        h = jnp.tanh(x @ params["first"] + params["bias"])
        return [h, h @ params["last"]]

    def loss(params, batch):
        return jnp.mean((layers(params, batch["x"])[-1] - batch["y"]) ** 2)

    keys = jax.random.split(jax.random.key(0), 3)
    params = {
        "first": jax.random.normal(keys[0], (1, 16)),
        "bias": jnp.zeros((1, 16)),
        "last": 0.1 * jax.random.normal(keys[1], (16, 1)),
    }
    source = lambda key: metalearning.sinusoid_task(key, phase=(0.0, 1.0))
    target = metalearning.sinusoid_task(keys[2], phase=(3.0, 3.1)).support["x"]
    inner = optax.sgd(0.02)
    meta_loss = metalearning.over_tasks(metalearning.maml(loss, inner=inner))
    tx = optax.adam(0.01)

    @jax.jit
    def step(params, opt_state, key):
        tasks = jax.vmap(source)(jax.random.split(key, 8))
        (value, _), grads = jax.value_and_grad(meta_loss, has_aux=True)(params, tasks)
        moments = task_moments(layers, params, tasks.support["x"])
        other = task_moments(layers, params, target[None])
        updates, opt_state = tx.update(grads, opt_state, params)
        return optax.apply_updates(params, updates), opt_state, (-value, moments, other)

    control = activation_stopping(patience=5)
    state, opt_state = control.init(), tx.init(params)
    for t in range(30):
        key = jax.random.fold_in(jax.random.key(1), t)
        params, opt_state, measured = step(params, opt_state, key)
        decision, state = control.decide(stopping_statistics(*measured), state)
        assert 0 <= decision["checkpoint"] <= t
        if decision["stop"]:
            break
    assert len(state["source"][0][0]) == 2
