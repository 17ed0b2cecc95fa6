"""Loss-based weights: the recorded ones, equalities, devices, dropped examples."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType
from jax.sharding import PartitionSpec as P
from support import vectors

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.losses.cross_entropy import cross_entropy
from jaxopt_lab.losses.reweighting import (
    loss_weights,
    reweighted,
    reweighted_cross_entropy,
)

LOSSES = np.array([0.3, 2.0, 1.1, 0.7, 5.0, 0.2, 1.9, 0.4])


@pytest.mark.full(plain=["weights"])
@pytest.mark.parametrize("name", vectors.cases("loss_reweighting"))
def test_vectors(name):
    with np.load(vectors.VECTORS / "loss_reweighting" / f"{name}.npz") as file:
        arrays = {key: file[key] for key in file.files}
    json.loads(str(arrays.pop("meta")))
    found = jax.jit(
        lambda losses, lengths, r, delta, strategy: (
            loss_weights(losses, strategy=strategy, r=r, delta=delta),
            jnp.mean(reweighted(losses, strategy=strategy, r=r, delta=delta)),
            jnp.mean(
                reweighted(losses, lengths=lengths, strategy=strategy, r=r, delta=delta)
            ),
        ),
        static_argnums=4,
    )
    tried = 0
    for key, weights in arrays.items():
        kind, number, *case = key.split("/")
        if kind != "weights":
            continue
        strategy, r, delta = case
        numbers = float(r.removeprefix("r")), float(delta.removeprefix("delta"))
        losses, lengths = arrays[f"losses/{number}"], arrays[f"lengths/{number}"]
        got = found(losses, lengths, *numbers, strategy)
        rest = "/".join([number, *case])
        expected = weights, arrays[f"loss_equal_lengths/{rest}"], arrays[f"loss/{rest}"]
        for a, b in zip(got, expected, strict=True):
            # Of losses that differ by 1e-6, a rounding is 1e-10 of the spread.
            np.testing.assert_allclose(a, b, rtol=1e-9, err_msg=key)
        tried += 1
    assert tried >= 16


def test_equal_losses_and_a_huge_r_change_nothing():
    np.testing.assert_array_equal(reweighted(jnp.full(4, 0.7)), np.full(4, 0.7))
    np.testing.assert_array_equal(reweighted(LOSSES, r=1e30), LOSSES)


@pytest.mark.full
def test_the_weights_are_constants_of_the_gradient():
    logits = np.random.default_rng(0).normal(size=(4, 3))
    labels = np.array([0, 2, 1, 1])
    weights = loss_weights(cross_entropy(logits, labels))
    found = jax.grad(lambda x: jnp.mean(reweighted_cross_entropy(x, labels)))(logits)
    expected = jax.grad(lambda x: jnp.sum(weights * cross_entropy(x, labels)))(logits)
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_devices_that_hold_parts_are_one():
    mesh = jax.make_mesh((4,), ("data",), axis_types=(AxisType.Auto,))
    lengths = np.arange(1.0, 9.0)
    where = np.array([1, 1, 0, 1, 1, 1, 1, 0])

    def one(losses, lengths, where):
        options = {"lengths": lengths, "where": where, "axis_name": "data"}
        return reweighted(losses, **options)

    run = jax.shard_map(one, mesh=mesh, in_specs=P("data"), out_specs=P("data"))
    found = jax.jit(run)(LOSSES, lengths, where)
    expected = reweighted(LOSSES, lengths=lengths, where=where)
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_dropped_examples_may_hold_anything():
    where = np.array([1, 0, 1, 1, 0, 1, 1, 1])
    spoilt = np.where(where, LOSSES, np.nan)
    found = reweighted(spoilt, where=where)
    expected = np.zeros(8)
    expected[where == 1] = reweighted(LOSSES[where == 1])
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    assert not np.any(reweighted(spoilt, where=np.zeros(8)))


@pytest.mark.parametrize(
    "call, line",
    [
        (lambda: loss_weights(LOSSES, r=0.0), "r must be above 0; got 0.0"),
        (lambda: loss_weights(LOSSES, delta=-1.0), "delta must be at least 0; got -1"),
        (lambda: loss_weights(LOSSES, strategy="upwards"), "strategy"),
        (
            lambda: loss_weights(LOSSES, where=np.ones(3)),
            r"where .* got \(3,\)",
        ),
        (lambda: reweighted(LOSSES, lengths=np.ones(3)), r"lengths must .* got \(3,\)"),
    ],
)
def test_bad_input(call, line):
    with pytest.raises(InputError, match=line):
        call()
