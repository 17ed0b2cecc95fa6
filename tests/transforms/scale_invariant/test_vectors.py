"""AdamP, SGDP and Normalize-and-Project against recorded steps."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from support import vectors

from jaxopt_lab.transforms.scale_invariant import (
    adamp,
    normalize_and_project,
    sgdp,
)


def recorded(method, name):
    """``(meta, start, gradients, parameters, rates)``, stacked over the steps."""
    with np.load(vectors.VECTORS / method / f"{name}.npz") as file:
        arrays = {key: file[key] for key in file.files}
    meta = json.loads(str(arrays.pop("meta")))
    names = [key.removeprefix("init/") for key in arrays if key.startswith("init/")]
    stack = lambda kind: {
        n: np.stack([arrays[f"{kind}/{t}/{n}"] for t in range(meta["steps"])])
        for n in names
    }
    start = {n: arrays[f"init/{n}"] for n in names}
    return meta, start, stack("grads"), stack("params"), arrays.get("lr")


def path(tx, start, grads):
    """The parameters after every step."""

    def body(carry, g):
        params, state = carry
        u, state = tx.update(g, state, params)
        params = optax.apply_updates(params, u)
        return (params, state), params

    def run(start, grads):
        return jax.lax.scan(body, (start, tx.init(start)), grads)[1]

    return jax.jit(run)(start, grads)


def renamed(options):
    found = dict(options)
    if "betas" in found:
        found["b1"], found["b2"] = found.pop("betas")
    return found


@pytest.mark.full(plain=["default", "zero_grad_and_zero_row"])
@pytest.mark.parametrize("name", vectors.cases("adamp"))
def test_adamp(name):
    meta, start, grads, params, rates = recorded("adamp", name)
    options = renamed(meta["hyperparameters"])
    rate = options.pop("lr")
    if rates is not None:
        rate = lambda count: jnp.asarray(rates)[count]
    axis = 0 if name == "torch_layout" else -1
    found = path(adamp(rate, channel_axis=axis, **options), start, grads)
    tolerance = {"rtol": 1e-10, "atol": 1e-12}
    if meta["dtype"] == "float32":
        tolerance = {"rtol": 2e-5, "atol": 1e-6}
    for n, expected in params.items():
        assert found[n].dtype == expected.dtype
        np.testing.assert_allclose(found[n], expected, err_msg=n, **tolerance)


def test_both_projections_and_none_are_among_the_cases():
    taken = recorded("adamp", "default")[0]["branch_taken"]
    assert {"channel", "layer", "none"} <= {
        str(x) for steps in taken.values() for x in steps
    }


@pytest.mark.full(plain=["momentum_official", "zero_grad_sched"])
@pytest.mark.parametrize("name", vectors.cases("sgdp"))
def test_sgdp(name):
    meta, start, grads, params, rates = recorded("sgdp", name)
    options = dict(meta["hyperparameters"])
    rate = options.pop("lr")
    if rates is not None:
        rate = lambda count: jnp.asarray(rates)[count]
    official = name.endswith("official")
    tx = sgdp(rate, project_momentum=official, **options)
    found = path(tx, start, grads)
    for n, expected in params.items():
        np.testing.assert_allclose(found[n], expected, 1e-10, 1e-12, err_msg=n)


@pytest.mark.full(plain=["every_5_joint_scale_offset", "per_channel_wd"])
@pytest.mark.parametrize("name", vectors.cases("nap"))
def test_normalize_and_project(name):
    meta, start, grads, params, _ = recorded("nap", name)
    options = meta["hyperparameters"]
    b1, b2 = options["betas"]
    tx = optax.chain(
        optax.adamw(
            options["lr"], b1, b2, options["eps"], weight_decay=options["weight_decay"]
        ),
        normalize_and_project(
            {n: n in options["projected"] for n in start},
            every=options["every"],
            per="channel" if options["per_output_channel"] else "tensor",
            joint=[tuple(pair) for pair in options["joint_scale_offset"]],
        ),
    )
    found = path(tx, start, grads)
    for n, expected in params.items():
        np.testing.assert_allclose(found[n], expected, 1e-10, 1e-12, err_msg=n)
