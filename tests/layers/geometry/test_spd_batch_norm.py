"""Normalization of positive definite matrices against its paper's code, and limits."""

import json
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.layers import spd_batch_norm
from jaxopt_lab.layers.geometry.spd_batch_norm import plain_bures

FOLDER = pathlib.Path(__file__).parents[2] / "vectors" / "spd_bn"
QUICK = {"xla_backend_optimization_level": 0}
# The figures that another implementation of the same formulas reached.
CLOSE = {"rtol": 1e-9, "atol": 1e-10}


def load(case):
    with np.load(FOLDER / f"{case}.npz") as file:
        arrays = {name: file[name] for name in file.files}
    return json.loads(str(arrays.pop("meta"))), arrays


def symmetric(x):
    return (x + np.swapaxes(x, -1, -2)) / 2


@pytest.mark.full(plain=["n3_p1"])
@pytest.mark.parametrize(
    "case",
    ["n3_identity_metric", "n3_ill_conditioned", "n3_p1", "n4_p05_channels2"],
)
def test_vectors(case):
    meta, arrays = load(case)
    core = spd_batch_norm(
        meta["n"], power=meta["power"], momentum=meta["momentum"], eps=meta["eps"]
    )
    params = {name: arrays[f"weight/{name}"] for name in ("G", "M", "shift")}
    state = {"mean": arrays["state/init/mean"], "var": arrays["state/init/var"][0]}

    def run(params, state, x, cotangent, train):
        y, back, state = jax.vjp(
            lambda p, x: core.apply(p, state, x, train=train), params, x, has_aux=True
        )
        return y, back(cotangent), state

    run = jax.jit(run, static_argnums=4, compiler_options=QUICK)
    for t in range(meta["train_steps"] + 1):
        x, cotangent = (arrays[f"input/{t}/{n}"] for n in ("x", "cotangent"))
        train = t < meta["train_steps"]
        if not train and case == "n3_p1":
            break  # evaluation is another program; the other cases have it
        y, (slopes, slope), state = run(params, state, x, cotangent, train)
        np.testing.assert_allclose(y, arrays[f"output/{t}"], **CLOSE)
        np.testing.assert_allclose(state["mean"], arrays[f"state/{t}/mean"], **CLOSE)
        np.testing.assert_allclose(state["var"], arrays[f"state/{t}/var"][0], **CLOSE)
        wanted = symmetric(arrays[f"grad/{t}/x"])
        size = np.max(np.abs(wanted))
        np.testing.assert_allclose(symmetric(slope) / size, wanted / size, atol=1e-10)
        wanted = arrays[f"grad/{t}/shift"]
        np.testing.assert_allclose(slopes["shift"], wanted, rtol=1e-9)
        for name in ("G", "M"):
            if f"grad/{t}/{name}" in arrays:
                wanted = symmetric(arrays[f"grad/{t}/{name}"])
                size = np.max(np.abs(wanted))
                got = symmetric(slopes[name]) / size
                np.testing.assert_allclose(got, wanted / size, atol=1e-10)


def test_equal_matrices_become_the_identity_whatever_the_scale():
    core = spd_batch_norm(3)
    a = np.random.default_rng(0).normal(size=(3, 3))
    x = np.broadcast_to(a @ a.T + np.eye(3), (4, 1, 3, 3))
    params, state = core.init()
    run = jax.jit(
        lambda s: core.apply({**params, "shift": s}, state, x, train=True)[0],
        compiler_options=QUICK,
    )
    for shift in (0.5, 3.0):
        y = run(np.array([shift]))
        np.testing.assert_allclose(y, np.broadcast_to(np.eye(3), x.shape), atol=1e-7)


@pytest.mark.full
def test_it_is_the_plain_formula_and_turns_with_its_input():
    core = spd_batch_norm(3)
    a = np.random.default_rng(0).normal(size=(5, 2, 3, 3))
    x = a @ np.swapaxes(a, -1, -2) + np.eye(3)
    q = np.linalg.qr(np.random.default_rng(1).normal(size=(3, 3)))[0]
    params, state = core.init()
    tilted = {"M": np.diag([1.0, 2.0, 0.5]), "G": np.eye(3) + 0.2, "shift": np.ones(1)}

    @jax.jit
    def run(x):
        one = core.apply(params, state, x, train=True)[0]
        two = core.apply(params, state, q @ x @ q.T, train=True)[0]
        three = core.apply(tilted, state, x, train=True)[0]
        return one, two, three, plain_bures(tilted, x)

    one, two, three, four = map(np.asarray, run(x))
    np.testing.assert_allclose(two, q @ one @ q.T, atol=1e-10)
    np.testing.assert_allclose(three, four, atol=1e-10)


@pytest.mark.parametrize(
    "x, words",
    [
        (np.eye(3)[None], r"takes matrices \(B, ..., 2, 2\); got \(1, 3, 3\)"),
        (np.ones((2, 3, 2)), r"takes matrices \(B, ..., 2, 2\); got \(2, 3, 2\)"),
        (np.array([[[1.0, 2.0], [2.0, 1.0]]]), "positive definite.*eigenvalue of -1"),
        (np.array([[[1.0, 0.5], [0.0, 1.0]]]), "symmetric matrices.*differ by 0.5"),
    ],
)
def test_inputs_that_do_not_fit(x, words):
    core = spd_batch_norm(2)
    with pytest.raises(InputError, match=words):
        core.apply(*core.init(), jnp.asarray(x), train=True)
