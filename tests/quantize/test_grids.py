"""The two grids against recorded codes, and rounding of matrices and models."""

import json

import hypothesis
import hypothesis.extra.numpy as hnp
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import strategies as st
from support.vectors import VECTORS

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.quantize import (
    GenieGrid,
    GPTQGrid,
    LinearGrid,
    QwixGrid,
    ZeroQGrid,
    round_to_nearest,
)


def load(folder, name):
    with np.load(VECTORS / folder / f"{name}.npz") as file:
        arrays = {key: file[key] for key in file.files}
    return json.loads(str(arrays.pop("meta"))), arrays


@pytest.mark.full(plain=["tensor-A_act3d"])
@pytest.mark.parametrize("case", ["A_w2d", "A_act3d"])
@pytest.mark.parametrize("granularity", ["row", "tensor"])
def test_the_linear_grid_gives_the_recorded_codes(case, granularity):
    meta, arrays = load("linear_quant", case)
    for bits in (2, 3, 4, 8):
        for symmetric in (True, False):
            kind = "sym" if symmetric else "asym"
            name = f"{granularity}_{kind}_b{bits}"
            grid = LinearGrid(bits, symmetric, granularity, meta["minimum_range"])
            coded = grid.encode(arrays["init/x"])
            np.testing.assert_array_equal(coded.qvalue, arrays[f"codes/{name}"])
            scale = arrays[f"scale/{name}"]
            np.testing.assert_allclose(coded.scale.ravel(), scale.ravel(), rtol=1e-15)
            zero = 0 if coded.zero_point is None else -coded.zero_point.ravel()
            np.testing.assert_array_equal(zero, arrays[f"zero/{name}"].ravel())
            np.testing.assert_allclose(
                coded.dequantize(), arrays[f"deq/{name}"], atol=1e-12
            )


@pytest.mark.full(plain=["A_b4_sym"])
@pytest.mark.parametrize("case", ["A_b3_asym", "A_b4_sym"])
def test_the_gptq_grid_gives_the_recorded_codes_and_objective(case):
    meta, arrays = load("quantease", case)
    grid = GPTQGrid(meta["bits"], meta["symmetric"])
    weight, x = (jnp.asarray(arrays[f"init/{n}"], jnp.float64) for n in "WX")
    coded, report = round_to_nearest(weight, x.T @ x, grid)
    np.testing.assert_array_equal(coded.qvalue, arrays["codes/rtn"])
    scale, zero = arrays["grid/scale"].ravel(), arrays["grid/zero"].ravel()
    np.testing.assert_allclose(coded.scale.ravel(), scale, rtol=1e-15)
    np.testing.assert_array_equal(coded.zero_point.ravel(), zero)
    np.testing.assert_allclose(report.error, meta["objectives"]["rtn"], rtol=1e-9)


@pytest.mark.full(plain=["3"])
@pytest.mark.parametrize("bits", [2, 3, 4, 8])
def test_the_grids_of_zeroq_and_genie_give_the_recorded_values(bits):
    _, arrays = load("zeroq", "quantizers_A")
    weight = arrays["init/w"]
    values = ZeroQGrid(bits).encode(weight).dequantize()
    np.testing.assert_allclose(values, arrays[f"perchannel/b{bits}"], atol=1e-14)
    tensor = ZeroQGrid(bits, granularity="tensor").encode(arrays[f"actin/b{bits}"])
    np.testing.assert_allclose(tensor.dequantize(), arrays[f"act/b{bits}"], atol=1e-14)
    coded = GenieGrid(bits).encode(weight)
    np.testing.assert_allclose(coded.scale, arrays[f"genie_scale/b{bits}"], rtol=1e-14)
    np.testing.assert_array_equal(coded.zero_point, arrays[f"genie_zero/b{bits}"])


@pytest.mark.full
def test_the_grid_of_qwix_fills_the_outermost_bucket():
    """Against the formula in plain NumPy; 127.5 steps reach the largest value."""
    weight = np.random.default_rng(0).normal(size=(3, 7))
    scale = np.abs(weight).max(1, keepdims=True) / 127.5
    codes = np.clip(np.round(weight / scale), -128, 127)
    coded = QwixGrid(8).encode(weight)
    np.testing.assert_array_equal(coded.qvalue, codes)
    np.testing.assert_allclose(coded.scale, scale, rtol=1e-15)
    low, high = np.minimum(weight.min(1), 0), np.maximum(weight.max(1), 0)
    step = ((high - low) / 15)[:, None]
    zero = np.clip(np.round(-8 - low[:, None] / step), -8, 7)
    coded = QwixGrid(4, symmetric=False).encode(weight)
    expected = np.clip(np.round(weight / step + zero), -8, 7)
    np.testing.assert_array_equal(coded.qvalue, expected)


def test_groups_and_columns_are_rows_of_a_reshaped_array():
    weight = np.random.default_rng(0).normal(size=(3, 8))

    @jax.jit
    def values(weight):
        found = []
        for kind in (LinearGrid, GPTQGrid):
            grids = (
                kind(3, granularity="group", group_size=4),
                *(kind(3), kind(3, granularity="column"), kind(3)),
            )
            arrays = weight, weight.reshape(6, 4), weight, weight.T
            coded = [g.encode(w) for g, w in zip(grids, arrays, strict=True)]
            assert coded[0].scale.shape == (3, 2)
            found.append([one.dequantize() for one in coded])
        return found

    for groups, rows, columns, transposed in values(weight):
        np.testing.assert_array_equal(groups.reshape(6, 4), rows)
        np.testing.assert_array_equal(columns, transposed.T)


@pytest.mark.full
def test_the_searched_range_has_the_smallest_error_of_all_ratios():
    weight = np.random.default_rng(0).standard_t(2, size=(2, 12))
    coded = GPTQGrid(2, search=True).encode(weight)
    found = np.sum(np.abs(coded.dequantize() - weight) ** 2.4, axis=1)
    low = np.minimum(weight.min(1, keepdims=True), 0)
    high = np.maximum(weight.max(1, keepdims=True), 0)
    errors = []
    for i in range(80):
        step = (1 - i / 100) * (high - low) / 3
        zero = np.round(-(1 - i / 100) * low / step)
        codes = np.clip(np.round(weight / step) + zero, 0, 3)
        errors.append(np.sum(np.abs((codes - zero) * step - weight) ** 2.4, axis=1))
    np.testing.assert_allclose(found, np.min(errors, axis=0), rtol=1e-12)


def test_halves_are_rounded_to_even():
    weight = jnp.array([[0.5, 1.5, 2.5, -0.5, -1.5, 7.0]])
    codes = LinearGrid(bits=4).encode(weight).qvalue
    assert codes.tolist() == [[0, 2, 2, 0, -2, 7]]


@pytest.mark.full(plain=["grid1"])
@pytest.mark.parametrize(
    "grid",
    [
        *(LinearGrid(4), LinearGrid(3, False), GPTQGrid(4)),
        *(GenieGrid(4), GPTQGrid(4, search=True)),
    ],
)
def test_zero_constant_tiny_and_huge_rows(grid):
    rows = jnp.array([[0.0] * 3, [2.0] * 3, [-3.0] * 3, [5e-324] * 3, [1e300] * 3])
    values = grid.encode(rows).dequantize()
    np.testing.assert_array_equal(values[0], 0)
    np.testing.assert_allclose(values[1:3], rows[1:3], rtol=1e-12)
    np.testing.assert_array_equal(values[3], 0)
    np.testing.assert_allclose(values[4], rows[4], rtol=1e-12)


@pytest.mark.full
def test_a_bad_weight_spoils_its_row_and_no_other():
    rows = jnp.array([[1.0, jnp.nan], [1.0, jnp.inf], [1.0, 2.0]])
    for grid in (LinearGrid(8), GPTQGrid(8)):
        values = grid.encode(rows).dequantize()
        assert bool(jnp.all(jnp.isnan(values[:2])))
        np.testing.assert_allclose(values[2], rows[2], rtol=0.01)


@hypothesis.settings(deadline=None, max_examples=40)
@hypothesis.given(
    hnp.arrays(np.float64, (3, 5), elements=st.floats(-100, 100)),
    st.sampled_from([2, 4, 8]),
    st.booleans(),
)
def test_every_error_is_at_most_half_a_step(weight, bits, symmetric):
    grids = [LinearGrid(bits, symmetric), GPTQGrid(bits)]
    for grid in grids:
        coded = grid.encode(weight)
        apart = np.abs(coded.dequantize() - weight) / np.asarray(coded.scale)
        # A rounded zero point moves both ends of the range by up to half a step.
        assert apart.max() <= (0.5 if coded.zero_point is None else 1) + 1e-9


@pytest.mark.full
def test_types():
    for dtype, wide in ((jnp.bfloat16, jnp.float32), (jnp.float64, jnp.float64)):
        coded = LinearGrid().encode(jnp.ones((2, 3), dtype))
        assert coded.qvalue.dtype == jnp.int8 and coded.scale.dtype == wide
        assert coded.dequantize(dtype).dtype == dtype
    assert GPTQGrid().encode(jnp.ones((2, 3))).qvalue.dtype == jnp.uint8


@pytest.mark.full
def test_bytes():
    assert LinearGrid(4).nbytes(LinearGrid(4).encode(jnp.ones((3, 5)))) == 8 + 3 * 8
    coded = GPTQGrid(8).encode(jnp.ones((3, 5), jnp.float32))
    assert GPTQGrid(8).nbytes(coded) == 15 + 2 * 3 * 4


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda: LinearGrid(1), r"bits must be a whole number in \[2, 8\]; got 1"),
        (lambda: GPTQGrid(4.0), "bits must be a whole number"),
        (lambda: LinearGrid(granularity="rows"), "perhaps you meant 'row'"),
        (lambda: LinearGrid(min_range=0), "min_range must be above 0; got 0"),
        (lambda: LinearGrid().encode(jnp.ones(3, int)), "must be a real floating"),
        (lambda: LinearGrid().encode(jnp.ones(3, complex)), "got complex128"),
        (lambda: LinearGrid().encode(jnp.ones((2, 0))), r"shape \(2, 0\)"),
        (lambda: LinearGrid().encode(1.0), "at least one axis"),
        (lambda: round_to_nearest(jnp.ones(3)), "must be matrices of one shape"),
        (
            lambda: round_to_nearest(jnp.ones((2, 3)), jnp.eye(2)),
            r"gram must have shape \(3, 3\)",
        ),
    ],
)
def test_bad_input(make, words):
    with pytest.raises(InputError, match=words):
        make()


def test_rounding_traces_under_strict_promotion():
    weight = jnp.ones((2, 3), jnp.float32)
    with jax.numpy_dtype_promotion("strict"):
        for grid in (LinearGrid(4), LinearGrid(4, False), GPTQGrid(4), GPTQGrid(4, 1)):
            coded = jax.eval_shape(
                lambda w, g=grid: round_to_nearest(w, jnp.eye(3), g)[0], weight
            )
            assert coded.scale.dtype == jnp.float32
