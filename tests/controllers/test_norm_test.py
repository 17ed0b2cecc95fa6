"""The norm test of AdAdaGrad against recorded runs, and what it refuses."""

import json
import math

import hypothesis
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import strategies as st
from support.vectors import VECTORS

from jaxopt_lab.controllers import (
    gradient_variance,
    norm_test,
    plan_batch,
    variance_from_norms,
    variance_of_groups,
)
from jaxopt_lab.core.errors import InputError

FOLDER = VECTORS / "adadagrad"


def load(name):
    with np.load(FOLDER / f"{name}.npz") as file:
        arrays = {key: file[key] for key in file.files}
    return json.loads(str(arrays.pop("meta"))), arrays


def example_grads(arrays, i):
    return {name: arrays[f"per_example_grads/{i}/{name}"] for name in "sbwk"}


def requested(stats, batch, eta):
    """What the rule asks for, with micro-batches of one example."""
    control = norm_test(eta, start_batch=batch, max_batch=10**9)
    return control.decide(stats, control.init())[0]["accumulation"]


@pytest.mark.full
def test_statistics_and_sizes_are_the_recorded_ones():
    meta, arrays = load("tests")
    for case in meta["results"]:
        grads = example_grads(arrays, case["i"])
        stats = gradient_variance(grads)
        size, variance, square = case["norm_test"]
        np.testing.assert_allclose(stats["variance"], variance, rtol=1e-12)
        np.testing.assert_allclose(stats["grad_norm_sq"], square, rtol=1e-12)
        assert requested(stats, case["batch"], case["eta"]) == size


def test_squared_norms_give_the_same_statistics():
    meta, arrays = load("tests")
    grads = example_grads(arrays, 2)
    flat = np.concatenate([g.reshape(len(g), -1) for g in grads.values()], axis=1)
    mean = flat.mean(0)
    found = variance_from_norms(jnp.sum(flat**2, axis=1), mean @ mean)
    _, variance, square = meta["results"][2]["norm_test"]
    np.testing.assert_allclose(found["variance"], variance, rtol=1e-11)
    np.testing.assert_allclose(found["grad_norm_sq"], square, rtol=1e-12)


@pytest.mark.full(plain=["0"])
@pytest.mark.parametrize("i", [0, 2])
def test_two_groups_are_the_recorded_ones(i):
    meta, arrays = load("tests")
    grads = example_grads(arrays, i)
    each = [
        gradient_variance({name: np.split(g, 2)[half] for name, g in grads.items()})
        for half in (0, 1)
    ]
    found = variance_of_groups(
        jnp.stack([e["variance"] for e in each]),
        jnp.stack([e["grad_norm_sq"] for e in each]),
        gradient_variance(grads)["grad_norm_sq"],
    )
    size, variance, _ = meta["results"][i]["norm_test_2_microbatches"]
    np.testing.assert_allclose(found["variance"], variance, rtol=1e-11)
    eta = meta["results"][i]["eta"]
    assert requested(found, meta["results"][i]["batch"], eta) == size


def logistic_grads(x, y, w, b):
    """Gradient of every example's cross-entropy, weights and bias in a row."""
    error = 1 / (1 + np.exp(-(x @ w + b))) - y
    return np.concatenate([error[:, None] * x, error[:, None]], axis=1)


@pytest.mark.parametrize(
    "name", ["sequence_adagrad_norm_test", "sequence_adagradnorm_norm_test"]
)
def test_a_run_takes_the_recorded_batches(name):
    meta, arrays = load(name)
    hyper = meta["hyperparameters"]
    control = norm_test(
        hyper["eta"], start_batch=hyper["start_batch"], max_batch=hyper["max_batch"]
    )
    state = control.init()
    w, b = arrays["init/w"], float(arrays["init/b"])
    scalar = "adagradnorm" in name
    accumulated = 0.01 if scalar else np.zeros(w.size + 1)
    seen = 0
    for decision in meta["decisions"]:
        t, batch = decision["t"], state["accumulation"]
        rows = arrays[f"batch_index/{t}"]
        assert len(rows) == batch == decision["batch"]
        grads = logistic_grads(arrays["X"][rows], arrays["y"][rows], w, b)
        mean = grads.mean(0)
        stats = {
            "variance": grads.var(0, ddof=1).sum(),
            "grad_norm_sq": mean @ mean,
        }
        np.testing.assert_allclose(stats["variance"], decision["variance_l1"])
        accumulated = accumulated + (mean @ mean if scalar else mean**2)
        eps = 0 if scalar else 1e-10
        moved = hyper["lr"] * mean / (np.sqrt(accumulated) + eps)
        w, b = w - moved[:-1], b - moved[-1]
        np.testing.assert_allclose(w, arrays[f"params/{t}/w"], rtol=1e-9, atol=1e-12)
        chosen, state = control.decide(stats, state)
        assert chosen["accumulation"] == decision["next_batch"]
        seen += batch
        assert state["examples"] == seen


def test_plans_are_the_recorded_ones():
    meta, _ = load("batch_plan")
    for case in meta["sequences"]:
        accumulation = case["start"]["accumulation"]
        for wanted in case["sequence"]:
            plan = plan_batch(
                wanted["requested"],
                accumulation,
                devices=case["world_size"],
                max_micro_batch=case["max_micro"],
                max_batch=case["max_global"],
            )
            expected = (
                wanted["global_batch"],
                wanted["micro_batch"],
                wanted["accumulation"],
            )
            assert plan == expected
            accumulation = plan.accumulation


def test_micro_batches_are_rounded_up_and_stay_below_the_largest_batch():
    control = norm_test(1.0, micro_batch=30, start_batch=30, max_batch=100)
    stats = {"variance": 31.0, "grad_norm_sq": 1.0}
    assert control.decide(stats, control.init())[0] == {"accumulation": 2}
    stats["variance"] = 1000.0
    assert control.decide(stats, control.init())[0] == {"accumulation": 3}


def test_the_interval_counts_steps():
    control = norm_test(1.0, start_batch=2, max_batch=64, interval=2)
    state, sizes = control.init(), []
    for step in range(4):
        stats = {"variance": 10.0 * (step + 1), "grad_norm_sq": 1.0}
        _, state = control.decide(stats, state)
        sizes.append(state["accumulation"])
    assert sizes == [10, 10, 30, 30]


@pytest.mark.parametrize(
    "variance, square, size",
    [
        (0.0, 0.0, 4),
        (0.0, 1.0, 4),
        (1.0, 0.0, 64),
        (math.inf, 1.0, 64),
        (math.inf, math.inf, 4),
        (math.nan, 1.0, 4),
        (1.0, math.nan, 4),
        (-1e-20, 1.0, 4),
        (1e308, 1e-308, 64),
    ],
)
def test_degenerate_statistics(variance, square, size):
    control = norm_test(0.5, start_batch=4, max_batch=64)
    stats = {"variance": variance, "grad_norm_sq": square}
    assert control.decide(stats, control.init())[0] == {"accumulation": size}


@hypothesis.settings(deadline=None, max_examples=40)
@hypothesis.given(
    st.floats(min_value=1e-6, max_value=1e6),
    st.floats(min_value=1e-6, max_value=1e6),
    st.integers(1, 40),
    st.integers(1, 300),
)
def test_the_batch_is_the_smallest_that_passes(variance, square, micro, batch):
    hypothesis.assume(micro <= batch)
    control = norm_test(0.3, micro_batch=micro, start_batch=batch, max_batch=10**15)
    first = control.init()["accumulation"]
    stats = {"variance": variance, "grad_norm_sq": square}
    chosen = control.decide(stats, control.init())[0]["accumulation"]

    def passes(accumulation):
        return variance / (accumulation * micro) <= 0.09 * square * (1 + 1e-12)

    assert passes(chosen) and chosen >= first
    assert chosen == first or not passes((chosen - 1) * (1 - 1e-9))


@pytest.mark.parametrize(
    "options, words",
    [
        ({"eta": 0}, "eta must be above 0; got 0"),
        ({"eta": -1.0}, "eta must be above 0; got -1.0"),
        ({"micro_batch": 0}, "micro_batch must be a whole number"),
        ({"micro_batch": 9}, "micro_batch <= start_batch <= max_batch must hold"),
        ({"max_batch": 7}, "must hold; got 1, 8, 7"),
        ({"interval": 1.5}, "interval must be a whole number"),
    ],
)
def test_bad_options(options, words):
    with pytest.raises(InputError, match=words):
        norm_test(**options)


def test_bad_statistics():
    control = norm_test()
    with pytest.raises(InputError, match=r"reads stats\['grad_norm_sq'\]; got varian"):
        control.decide({"variance": 1.0}, control.init())
    with pytest.raises(InputError, match="share a leading axis"):
        gradient_variance({"a": np.ones(3), "b": np.ones(4)})
    with pytest.raises(InputError, match="must be a vector"):
        variance_from_norms(jnp.ones((2, 2)), 1.0)
    with pytest.raises(InputError, match="vectors of one length"):
        variance_of_groups(jnp.ones(2), jnp.ones(3), 1.0)


@pytest.mark.parametrize("value", [None, "many", 1j, np.ones(2)])
def test_a_statistic_is_a_number(value):
    control = norm_test()
    stats = {"variance": value, "norm": 1.0}
    with pytest.raises(InputError, match=r"^stats\['variance'\] must be a number; got"):
        control.decide(stats, control.init())
