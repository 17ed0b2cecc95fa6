"""Normalization in the Poincare ball against its paper's code."""

import json
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.layers import poincare_batch_norm

FOLDER = pathlib.Path(__file__).parents[2] / "vectors" / "poincare_bn"
QUICK = {"xla_backend_optimization_level": 0}
CLOSE = {"rtol": 1e-9, "atol": 1e-11}


def load(case):
    with np.load(FOLDER / f"{case}.npz") as file:
        arrays = {name: file[name] for name in file.files}
    return json.loads(str(arrays.pop("meta"))), arrays


@pytest.mark.full(plain=["vec_n8_c4"])
@pytest.mark.parametrize("case", ["vec_n8_c4", "image"])
def test_vectors(case):
    _, arrays = load(case)
    core = poincare_batch_norm(arrays["input/x"].shape[-1])
    params = {n: arrays[f"weight/{n}"] for n in ("mean", "var")}
    params["inverse_c"] = arrays["weight/isp_c"]
    _, state = core.init()

    def run(params, x):
        y, back = jax.vjp(
            lambda p, x: core.apply(p, state, x, train=True)[0], params, x
        )
        return y, back(arrays["input/cotangent"])

    run = jax.jit(run, compiler_options=QUICK)
    y, (slopes, slope) = run(params, arrays["input/x"])
    np.testing.assert_allclose(y, arrays["output/y"], **CLOSE)
    np.testing.assert_allclose(slope, arrays["grad/x"], **CLOSE)
    for name, key in (("mean", "mean"), ("var", "var"), ("inverse_c", "isp_c")):
        np.testing.assert_allclose(slopes[name], arrays[f"grad/{key}"], **CLOSE)


def test_the_scaled_spread_is_the_variance_and_the_midpoint_moves_to_the_mean():
    """Of points on a line through the origin, distances are differences."""
    core = poincare_batch_norm(1, curvature=0.5, param_dtype=jnp.float64)
    params, state = core.init()
    params = {**params, "var": jnp.asarray(0.3), "mean": jnp.asarray([0.2])}
    x = np.array([[0.4], [-0.1], [0.3], [-0.6]])

    def run(x, state):
        y, state = core.apply(params, state, x, train=True)
        return y, state, core.apply(params, state, x, train=False)[0]

    y, state, evaluated = jax.jit(run, compiler_options=QUICK)(x, state)
    assert abs(np.mean(4 * np.square(y - 0.2)) - 0.3) < 0.02
    assert 0.9 < float(state["running_var"]) < 1.0 and state["running_mean"] != 0
    assert np.all(np.diff(evaluated[[3, 1, 2, 0], 0]) > 0)


def test_options_and_inputs_that_do_not_fit():
    with pytest.raises(InputError, match="curvature must be above 0; got 0"):
        poincare_batch_norm(3, curvature=0.0)
    core = poincare_batch_norm(3)
    with pytest.raises(InputError, match=r"inputs of shape \(..., 3\)"):
        core.apply(*core.init(), np.ones((2, 4)), train=True)
