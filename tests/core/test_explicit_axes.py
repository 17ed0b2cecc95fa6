"""Arrays of explicit axes: their mesh, and what is computed block by block."""

import jax
import jax.numpy as jnp
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P

from jaxopt_lab.core.explicit_axes import _mesh, reshard_here, with_block_axes


def test_the_mesh_is_that_of_the_context_or_else_of_an_array():
    kind = (jax.sharding.AxisType.Explicit,)
    mesh = jax.make_mesh((2,), ("data",), axis_types=kind)
    plain = jnp.ones(3)
    cut = jax.device_put(jnp.arange(4.0), NamedSharding(mesh, P("data")))
    assert _mesh({"a": plain, "b": cut}) == mesh.abstract_mesh
    assert _mesh(plain).empty and _mesh(()).empty
    with jax.set_mesh(jax.make_mesh((4,), ("other",), axis_types=kind)):
        assert _mesh(cut).axis_names == ("other",)


def explicit(count, name="data"):
    kind = (jax.sharding.AxisType.Explicit,)
    return jax.make_mesh((count,), (name,), axis_types=kind)


def test_only_arrays_are_moved_and_only_to_a_mesh():
    here, there = explicit(2), explicit(2, "other")
    x = jax.device_put(jnp.arange(4.0), NamedSharding(here, P()))
    assert reshard_here(x) is x and reshard_here(0.5) == 0.5
    with jax.set_mesh(here):
        assert reshard_here(x) is x and reshard_here(0.5) == 0.5
    with jax.set_mesh(there):
        seen = []
        jax.jit(lambda: seen.append(reshard_here(0.5)))()
        assert seen == [0.5]


def test_results_by_block_are_sharded_as_the_tensor_is():
    mesh = explicit(2)
    tensor = jax.device_put(jnp.arange(8.0), NamedSharding(mesh, P("data")))

    def largest(block):
        f = lambda x: x.reshape(-1, block).max(axis=1)
        found = jax.jit(with_block_axes(f, tensor, block))(tensor)
        assert found.tolist() == list(range(block - 1, 8, block))
        return found.sharding.spec

    with jax.set_mesh(mesh):
        assert largest(2) == P("data")
        # A cut would go through the one block.
        assert largest(8) in (P(), P(None))
