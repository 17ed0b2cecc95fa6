"""The inner-product, augmented and coordinate tests against recorded values."""

import json
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import PartitionSpec as P
from support.vectors import VECTORS

from jaxopt_lab.controllers import (
    augmented_test,
    coordinate_ratio,
    coordinate_test,
    inner_products,
    noise_scale_batch,
    projected_variances,
    rate_by_examples,
    spectral_rates,
)
from jaxopt_lab.core.devices import varying
from jaxopt_lab.core.errors import InputError


def load(name):
    with np.load(VECTORS / "adadagrad" / f"{name}.npz") as file:
        arrays = {key: file[key] for key in file.files}
    return json.loads(str(arrays.pop("meta"))), arrays


def rows(arrays, i):
    """The gradients of all examples, ``(b, entries)``."""
    parts = [arrays[f"per_example_grads/{i}/{name}"] for name in "sbwk"]
    return np.concatenate([g.reshape(len(g), -1) for g in parts], axis=1)


@jax.jit
def statistics(grads):
    mean = jnp.mean(grads, axis=0)
    found = projected_variances(jnp.sum(grads**2, 1), grads @ mean, mean @ mean)
    return found, coordinate_ratio(mean, jnp.mean(grads**2, 0), grads.shape[0])


@pytest.mark.full(plain=["1"])
@pytest.mark.parametrize("i", range(5))
def test_statistics_are_the_recorded_ones(i):
    meta, arrays = load("tests")
    case = meta["results"][i]
    found, ratio = statistics(rows(arrays, i))
    close = {"rtol": 1e-9}
    _, variance, square = case["norm_test"]
    np.testing.assert_allclose(found["variance"], variance, **close)
    np.testing.assert_allclose(found["grad_norm_sq"], square, **close)
    inner, apart = (
        case[f"{name}_full_vector_variance"]
        for name in ("inner_product", "orthogonality")
    )
    np.testing.assert_allclose(found["inner_variance"], inner, **close)
    np.testing.assert_allclose(found["orthogonal_variance"], apart, **close)
    size = ratio / case["eta"] ** 2
    np.testing.assert_allclose(size, case["coordinate_norm_test_size"], rtol=1e-8)
    # The size that the published rule asks for, by its formula.
    bound = [
        inner / (case["theta"] * square) ** 2,
        apart / (case["nu"] ** 2 * square),
    ]
    b = case["batch"]
    for nu, wanted in ((math.inf, bound[0]), (case["nu"], max(bound))):
        control = augmented_test(case["theta"], nu, start_batch=b, max_batch=10**9)
        stats = {name: float(x) for name, x in found.items()}
        decision, _ = control.decide(stats, control.init())
        assert decision["accumulation"] == math.ceil(max(b, wanted))


def test_products_of_a_pass_in_forward_mode_and_of_devices():
    x = np.random.default_rng(0).normal(size=(8, 3))
    w = np.ones(3)
    losses = lambda w, x: jnp.tanh(x @ w)
    each = jax.vmap(jax.grad(lambda w, x: losses(w, x)), in_axes=(None, 0))
    mesh = jax.make_mesh((4,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))

    def variances(x, axis_name=None):
        own = varying(w, axis_name)  # else the gradients are sums over devices
        grads = each(own, x)
        mean = jnp.mean(grads, axis=0)
        if axis_name is not None:
            mean = jax.lax.pmean(mean, axis_name)
        along = inner_products(losses, w, x, mean)
        squares = jnp.sum(grads**2, axis=1)
        return projected_variances(squares, along, mean @ mean, axis_name=axis_name)

    @jax.jit
    def both(x):
        divided = jax.shard_map(
            lambda x: variances(x, "data"),
            mesh=mesh,
            in_specs=P("data"),
            out_specs=P(),
        )
        grads = each(w, x)
        mean = grads.mean(0)
        along = inner_products(losses, w, x, mean)
        return variances(x), divided(x), (along, grads @ mean)

    one, many, products = both(x)
    np.testing.assert_allclose(*products, rtol=1e-12)
    for name in one:
        np.testing.assert_allclose(one[name], many[name], rtol=1e-10)


def test_a_run_by_coordinates_takes_the_recorded_batches():
    meta, arrays = load("sequence_adagrad_coordinate")
    hyper = meta["hyperparameters"]
    control = coordinate_test(
        hyper["eta"], start_batch=hyper["start_batch"], max_batch=hyper["max_batch"]
    )
    state = control.init()
    w, b = arrays["init/w"], float(arrays["init/b"])
    accumulated = np.zeros(w.size + 1)
    for decision in meta["decisions"]:
        t = decision["t"]
        index = arrays[f"batch_index/{t}"]
        assert len(index) == state["accumulation"]
        x, y = arrays["X"][index], arrays["y"][index]
        error = 1 / (1 + np.exp(-(x @ w + b))) - y
        grads = np.concatenate([error[:, None] * x, error[:, None]], axis=1)
        mean = grads.mean(0)
        ratio = np.max(grads.var(0, ddof=1) / mean**2)
        accumulated = accumulated + mean**2
        moved = hyper["lr"] * mean / (np.sqrt(accumulated) + 1e-10)
        w, b = w - moved[:-1], b - moved[-1]
        np.testing.assert_allclose(w, arrays[f"params/{t}/w"], rtol=1e-8)
        chosen, state = control.decide({"coordinate_ratio": ratio}, state)
        assert chosen["accumulation"] == decision["next_batch"]


def test_entries_that_do_not_move_ask_for_nothing():
    ratio = lambda mean, squares: float(coordinate_ratio(mean, squares, 2))
    assert ratio(np.zeros(2), np.zeros(2)) == 0
    assert ratio(np.array([0.0]), np.array([1.0])) == math.inf
    with pytest.raises(InputError, match="count must be at least 2"):
        coordinate_ratio(np.zeros(2), np.zeros(2), 1)
    with pytest.raises(InputError, match="vectors of one length"):
        projected_variances(jnp.zeros(2), jnp.zeros(3), 1.0)


def test_the_noise_scale_corrects_the_norm_by_the_noise():
    control = noise_scale_batch(decay=0.0, start_batch=10, max_batch=1000)
    state = control.init()
    decision, state = control.decide({"variance": 50.0, "grad_norm_sq": 6.0}, state)
    assert decision["accumulation"] == 50  # 50 / (6 - 5)
    decision, state = control.decide({"variance": 50.0, "grad_norm_sq": 0.5}, state)
    assert decision["accumulation"] == 1000  # below the noise of a batch of 50
    decision, _ = control.decide({"variance": 1.0, "grad_norm_sq": 9.0}, state)
    assert decision["accumulation"] == 10


def test_the_rate_rises_and_falls_by_examples():
    control = rate_by_examples(2.0, total_examples=100, warmup=0.2, last=0.5)
    state, rates = control.init(), []
    for batch in (10, 10, 40, 20, 100):
        decision, state = control.decide({"batch": batch}, state)
        rates.append(decision["learning_rate"])
    expected = [1.0, 2.0, 1.5, 2 * (0.5 + 0.25 * (1 + math.cos(0.75 * math.pi))), 1.0]
    np.testing.assert_allclose(rates, expected, rtol=1e-12)


def test_rates_of_a_spectrum_are_those_of_heavy_ball():
    control = spectral_rates(max_learning_rate=0.3)
    first = control.init()
    ends = lambda a, b: {"largest_eigenvalue": a, "lowest_eigenvalue": b}
    decision, _ = control.decide(ends(16.0, 4.0), first)
    np.testing.assert_allclose(decision["learning_rate"], 0.1)
    np.testing.assert_allclose(decision["momentum"], (2 / 6) ** 2)
    assert control.decide(ends(1.0, 1.0), first)[0]["learning_rate"] == 0.3
    for bad in (ends(-1.0, -2.0), ends(math.nan, 1.0), ends(1.0, 2.0)):
        assert control.decide(bad, first)[0] == first


@pytest.mark.parametrize("make", [augmented_test, coordinate_test, noise_scale_batch])
def test_a_limit_below_the_first_batch(make):
    with pytest.raises(InputError, match="start_batch <= max_batch must hold; got"):
        make(start_batch=64, max_batch=32)
    control = make()
    with pytest.raises(InputError, match=f"{make.__name__} reads stats"):
        control.decide({"other": 1.0}, control.init())
