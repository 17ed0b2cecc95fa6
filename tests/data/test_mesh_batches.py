"""Batches on a mesh; several processes are in ``tests/experiments/test_processes``."""

import jax
import numpy as np
import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.data import ArrayBatches, MeshBatches, process_rows, put_batch
from jaxopt_lab.training import make_mesh


@pytest.fixture
def mesh():
    return make_mesh("data:4,model:2")


def test_the_only_process_holds_every_row(mesh):
    assert process_rows(12, mesh) == range(12)


def test_rows_lie_in_order_on_the_data_axis(mesh):
    x = np.arange(24.0).reshape(8, 3)
    put = put_batch({"x": x}, mesh)["x"]
    assert put.sharding.spec == jax.sharding.PartitionSpec("data")
    for shard in put.addressable_shards:
        np.testing.assert_array_equal(shard.data, x[shard.index])
        assert shard.data.shape == (2, 3)
    whole = put_batch({"x": x}, mesh, whole=True)["x"]
    assert all(shard.data.shape == (8, 3) for shard in whole.addressable_shards)


@pytest.mark.parametrize("ask", [process_rows, lambda n, m: put_batch(np.ones(n), m)])
def test_a_batch_that_does_not_divide(mesh, ask):
    with pytest.raises(InputError, match="cannot be cut into 4 equal parts"):
        ask(10, mesh)


def test_the_position_is_that_of_the_source(mesh):
    make = lambda: ArrayBatches({"x": np.arange(16)}, 8, jax.random.key(0))
    source, placed = make(), MeshBatches(make(), mesh)
    for _ in range(3):
        want, got = source.next()["x"], placed.next()["x"]
        np.testing.assert_array_equal(got, want)
    assert placed.get_state() == source.get_state()
    placed.set_state({"index": 1})
    source.set_state({"index": 1})
    np.testing.assert_array_equal(placed.next()["x"], source.next()["x"])
