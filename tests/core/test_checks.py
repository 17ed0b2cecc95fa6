"""Checks of arguments: whole numbers, and the count of updates."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxopt_lab.core import checks
from jaxopt_lab.core.errors import InputError


@pytest.mark.parametrize(
    "value", [True, 1.0, "1", None, np.float64(1), np.bool_(True), jnp.int32(1)]
)
def test_only_an_integer_is_a_whole_number(value):
    assert not checks.is_integer(value)
    with pytest.raises(InputError, match=r"^n must be a whole number; got "):
        checks.check_integer("n", value)


@pytest.mark.parametrize(
    "bounds, accepted, refused, words",
    [
        ({}, (-3, 0, 9, np.int64(1), np.array(2, "uint8")), (), ""),
        ({"low": 0}, (0, 5), (-1,), "of at least 0; got -1"),
        ({"high": 4}, (-2, 4), (5,), "of at most 4; got 5"),
        ({"low": 1, "high": 3}, (1, 3), (0, 4), "from 1 to 3; got"),
    ],
)
def test_bounds_are_included(bounds, accepted, refused, words):
    for value in accepted:
        checks.check_integer("n", value, **bounds)
    for value in refused:
        with pytest.raises(InputError, match=words):
            checks.check_integer("n", value, **bounds)


def test_the_count_of_updates_stops_at_the_largest():
    largest = jnp.iinfo(jnp.int32).max
    for count, after in ((0, 1), (largest - 1, largest), (largest, largest)):
        new = checks.increment(jnp.int32(count))
        assert isinstance(new, jax.Array) and new.dtype == jnp.int32
        assert int(new) == after


def test_complex_leaves_are_refused_by_name_unless_masked():
    z = jnp.zeros(2, jnp.complex64)
    params = {"a": {"w": z}, "b": 1.0, "c": jnp.int32(3)}
    message = r"^sam takes real parameters; got complex64 for 'a/w': keep its real and "
    with pytest.raises(InputError, match=message) as error:
        checks.require_real("sam", params)
    assert "\n" not in str(error.value)
    checks.require_real("sam", params, {"a": {"w": False}, "b": True, "c": True})
    with pytest.raises(InputError, match="got complex64: keep"):
        checks.require_real("sam", jax.ShapeDtypeStruct((2,), jnp.complex64))
    with pytest.raises(InputError, match="for '1'"):
        checks.require_real("sam", [1.0, 1j])


def test_a_part_of_the_whole_lies_from_zero_to_one():
    for part in (0, 0.0, 0.5, 1):
        checks.check_unit("share", part)
    for wrong in (-0.1, 1.1, float("nan")):
        with pytest.raises(InputError, match="share"):
            checks.check_unit("share", wrong)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64, jnp.float16, jnp.bfloat16])
def test_a_perturbation_needs_float32_in_the_leaves_that_move(dtype):
    params = {"w": jnp.ones(2, dtype), "n": jnp.ones(2, jnp.int8)}
    still, moved = {"w": False, "n": True}, {"w": True, "n": True}
    checks.require_float32("sam", params, still)
    if jnp.finfo(dtype).bits >= 32:
        checks.require_float32("sam", params, moved)
        return
    with pytest.raises(InputError, match=f"sam cannot perturb w in {dtype.dtype}"):
        checks.require_float32("sam", params, moved)
