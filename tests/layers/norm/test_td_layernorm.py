"""Time-dependent layer normalization against its paper's code, and its limits."""

import json
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.layers import layer_norm, td_layernorm, time_dependent

FOLDER = pathlib.Path(__file__).parents[2] / "vectors" / "td_layernorm"
CLOSE = {"rtol": 1e-12, "atol": 1e-13}
NAMES = {"param0": "0", "param1": "1"}
X = np.random.default_rng(0).normal(size=(4, 3, 5))
TIMES = np.array([-30.0, -1.0, 0.5, 30.0])


def load(case):
    with np.load(FOLDER / f"{case}.npz") as file:
        arrays = {name: file[name] for name in file.files}
    return json.loads(str(arrays.pop("meta"))), arrays


def under(arrays, start):
    found = {}
    for name, array in arrays.items():
        if name.startswith(f"{start}/") and name != "grad/x":
            _, parameter, part = name.split("/")
            found[f"{parameter}_{NAMES.get(part, part)}"] = array
    return found


@pytest.mark.full(plain=["b3"])
@pytest.mark.parametrize("case", ["b3", "equal_times"])
def test_vectors(case):
    meta, arrays = load(case)
    core = td_layernorm(arrays["input/x"].shape[-1], eps=meta["eps"])
    params = under(arrays, "weight")
    assert set(params) == set(core.init()[0])

    @jax.jit
    def run(params, x):
        y, back = jax.vjp(
            lambda p, x: core.apply(p, {}, (x, arrays["input/log_snr"]), train=True)[0],
            params,
            x,
        )
        return y, back(arrays["input/cotangent"])

    y, (slopes, slope) = run(params, arrays["input/x"])
    np.testing.assert_allclose(y, arrays["output/y"], **CLOSE)
    np.testing.assert_allclose(slope, arrays["grad/x"], **CLOSE)
    for name, wanted in under(arrays, "grad").items():
        np.testing.assert_allclose(slopes[name], wanted, **CLOSE, err_msg=name)


def moved(core):
    """Parameters that are not at the start."""
    start = core.init()[0]
    waves = lambda i, p: p + 0.3 * np.cos(i + np.arange(p.size))
    return {n: waves(i, p) for i, (n, p) in enumerate(sorted(start.items()))}


def test_far_times_are_the_two_norms_and_the_start_is_one():
    core, plain = td_layernorm(5), layer_norm(5, eps=1e-5)
    params = moved(core)
    far = {**params, "scale_time_weight": np.zeros(5), "bias_time_weight": np.zeros(5)}

    @jax.jit
    def run(x):
        ends = core.apply(far, {}, (x, 10 * TIMES), train=True)[0]
        first = core.apply(core.init()[0], {}, (x, TIMES), train=False)[0]
        sides = []
        for side in "01":
            own = {n: params[f"{n}_{side}"] for n in ("scale", "bias")}
            sides.append(plain.apply(own, {}, x, train=True)[0])
        return ends, first, plain.apply(plain.init()[0], {}, x, train=True)[0], sides

    ends, first, plainly, (zero, one) = run(X)
    np.testing.assert_allclose(first, plainly, rtol=1e-12)
    np.testing.assert_allclose(ends[0], one[0], rtol=1e-12)
    np.testing.assert_allclose(ends[-1], zero[-1], rtol=1e-12)


def test_times_have_no_gradient_before_the_two_values_come_apart():
    core = td_layernorm(5)

    @jax.jit
    def slopes(params):
        value = lambda p: jnp.sum(core.apply(p, {}, (X, TIMES), train=True)[0] ** 3)
        return jax.grad(value)(params)

    first, later = slopes(core.init()[0]), slopes(moved(core))
    for name in first:
        timed = "time" in name
        assert np.any(first[name]) != timed and np.any(later[name]), name


def test_the_root_mean_square_form_is_finite_at_zero():
    core = td_layernorm(5, statistics="rms", eps=1e-8)
    params = core.init()[0]
    assert set(params) == {f"scale_{p}" for p in ("0", "1", "time_weight", "time_bias")}
    run = lambda x: core.apply(params, {}, (x, TIMES), train=True)[0]
    both = jax.jit(lambda x: (run(x), jax.grad(lambda x: jnp.sum(run(x)))(x)))
    y, slope = both(X)
    root = np.sqrt(np.mean(X**2, axis=-1, keepdims=True))
    np.testing.assert_allclose(y, X / (root + 1e-8), rtol=1e-12)
    assert np.all(np.isfinite(slope))
    zero, slope = both(np.zeros_like(X))
    assert not np.any(zero)
    np.testing.assert_allclose(slope, 1e8, rtol=1e-9)


def test_a_parameter_of_time_is_monotone_between_its_two_values():
    t = np.linspace(-5, 5, 11)[:, None]
    one, zero = np.ones((1, 1)), np.zeros((1, 1))
    p = jax.jit(time_dependent)(one, zero, zero, zero, t)
    np.testing.assert_allclose(p[:, 0], 1 / (1 + np.exp(-t[:, 0])), rtol=1e-12)


@pytest.mark.parametrize(
    "x, words",
    [
        (X, r"takes inputs \(x, log_snr\); got ndarray"),
        ((X, TIMES[:3]), r"log_snr must have one number for each of the \(4,\)"),
        ((X[..., :3], TIMES), r"inputs of shape \(..., 5\)"),
    ],
)
def test_inputs_that_do_not_fit(x, words):
    core = td_layernorm(5)
    with pytest.raises(InputError, match=words):
        core.apply(core.init()[0], {}, x, train=True)
