"""The mesh on which arrays of explicit axes are computed."""

import jax
import jax.numpy as jnp
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P

from jaxopt_lab.core.explicit_axes import _mesh


def test_the_mesh_is_that_of_the_context_or_else_of_an_array():
    kind = (jax.sharding.AxisType.Explicit,)
    mesh = jax.make_mesh((2,), ("data",), axis_types=kind)
    plain = jnp.ones(3)
    cut = jax.device_put(jnp.arange(4.0), NamedSharding(mesh, P("data")))
    assert _mesh({"a": plain, "b": cut}) == mesh.abstract_mesh
    assert _mesh(plain).empty and _mesh(()).empty
    with jax.set_mesh(jax.make_mesh((4,), ("other",), axis_types=kind)):
        assert _mesh(cut).axis_names == ("other",)
