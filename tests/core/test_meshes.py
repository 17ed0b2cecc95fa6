"""Meshes from a line of text."""

import jax
import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.training import make_mesh


@pytest.mark.parametrize(
    "axes, shape",
    [
        ("", {"data": 8}),
        ("data", {"data": 8}),
        ("data:4", {"data": 4}),
        ("data:4,model:2", {"data": 4, "model": 2}),
        ("data, model:2", {"data": 4, "model": 2}),
        ("replica:2,data,model:2", {"replica": 2, "data": 2, "model": 2}),
    ],
)
def test_shapes(axes, shape):
    mesh = make_mesh(axes)
    assert dict(mesh.shape) == shape
    assert list(mesh.devices.flat) == jax.devices()[: mesh.size]
    assert set(mesh.axis_types) == {jax.sharding.AxisType.Auto}


@pytest.mark.parametrize(
    "axes, said",
    [
        ("data:16", "needs 16 devices, here are 8; .*device_count=16"),
        ("data:4,model:4", "needs 16 devices, here are 8"),
        (
            "data,model:3",
            "8 devices cannot be cut into groups of 3 for the axis 'data'",
        ),
        ("data,model:16", "8 devices cannot be cut into groups of 16"),
        ("data:0", "cannot read 'data:0'; write name:size"),
        ("data:4,,model:2", "cannot read ''"),
        ("data=4", "cannot read 'data=4'"),
        ("data:2,data:2", "'data' is given twice"),
        ("data,model", "only one axis can take what the others leave"),
    ],
)
def test_errors_name_what_was_asked_and_what_there_is(axes, said):
    with pytest.raises(InputError, match=said):
        make_mesh(axes)
