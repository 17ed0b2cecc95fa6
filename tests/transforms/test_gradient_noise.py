"""The row ``add_noise``: the recorded schedule, and one noise for all devices."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import PartitionSpec as P
from support import vectors

from jaxopt_lab import catalog

ROW = catalog.of_kind("transform")["add_noise"]


@pytest.mark.full(plain=["gamma_sweep"])
@pytest.mark.parametrize("name", vectors.cases("gradient_noise"))
def test_schedule(name):
    with np.load(vectors.VECTORS / "gradient_noise" / f"{name}.npz") as file:
        arrays = {key: file[key] for key in file.files}
    assert json.loads(str(arrays.pop("meta")))["steps"] == 10
    zeros = jnp.zeros(3)
    steps = len(arrays["t"])

    def drawn(eta, gamma):
        """The noise of every step, and that of unit variance with the same keys."""

        def body(states, _):
            found = [
                tx.update(zeros, state) for tx, state in zip(txs, states, strict=True)
            ]
            return [s for _, s in found], [u for u, _ in found]

        txs = [ROW.make(eta=eta, gamma=gamma), ROW.make(eta=1.0, gamma=0.0)]
        start = [tx.init(zeros) for tx in txs]
        return jax.lax.scan(body, start, length=steps)[1]

    drawn = jax.jit(drawn)
    for key, expected in arrays.items():
        if key.startswith("std/"):
            eta, gamma = key.removeprefix("std/eta").split("_gamma")
            noise, unit = drawn(float(eta), float(gamma))
            ratio = np.broadcast_to(expected[:, None], unit.shape)
            np.testing.assert_allclose(noise / unit, ratio, rtol=1e-10)


def test_replicas_draw_the_same():
    tx = optax.chain(optax.clip(0.1), ROW.make(eta=1.0))
    params = jnp.zeros(4)
    mesh = jax.make_mesh((8,), ("data",))
    one = lambda state: tx.update(params, state)[0][None]
    run = jax.shard_map(
        one, mesh=mesh, in_specs=P(), out_specs=P("data"), check_vma=False
    )
    found = np.asarray(jax.jit(run)(tx.init(params)))
    np.testing.assert_array_equal(found, np.broadcast_to(found[:1], (8, 4)))
    assert np.max(np.abs(found)) > 0.1  # noise comes behind the clipping
