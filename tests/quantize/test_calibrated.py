"""GPTQ and QuantEase against recorded codes, and the order of their errors."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support.vectors import VECTORS

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.quantize import (
    GPTQGrid,
    gptq,
    quantease,
    quantease_outliers,
    round_to_nearest,
)
from jaxopt_lab.quantize.quantease import coordinate_descent


def load(folder, name):
    with np.load(VECTORS / folder / f"{name}.npz") as file:
        arrays = {key: file[key] for key in file.files}
    meta = json.loads(str(arrays.pop("meta")))
    x = jnp.asarray(arrays["init/X"], jnp.float64)
    return meta, jnp.asarray(arrays["init/W"], jnp.float64), x.T @ x, arrays


CASES = pytest.mark.full(plain=["A_b3_asym"])


@CASES
@pytest.mark.parametrize("case", ["A_b3_asym", "A_b3_sym", "A_b4_sym", "B_b3_asym"])
def test_the_recorded_codes(case):
    meta, weight, gram, arrays = load("quantease", case)
    grid = GPTQGrid(meta["bits"], meta["symmetric"])
    for order, name in (("given", "gptq"), ("activation", "gptq_actorder")):
        coded, report = gptq(weight, gram, grid, order=order)
        np.testing.assert_array_equal(coded.qvalue, arrays[f"codes/{name}"])
        np.testing.assert_allclose(report.error, meta["objectives"][name], rtol=1e-9)
    for sweeps in (1, 10):
        coded, report = quantease(
            weight, gram, grid, sweeps=sweeps, init="weights", relax=True
        )
        name = f"quantease_{sweeps}"
        np.testing.assert_array_equal(coded.qvalue, arrays[f"codes/{name}"])
        np.testing.assert_allclose(report.error, meta["objectives"][name], rtol=1e-9)


def published(weight, gram, grid, sweeps, order="given"):
    """The last iterate from the weights, as the published code has it."""
    return coordinate_descent(
        weight,
        weight,
        gram,
        grid.fit(weight),
        grid=grid,
        sweeps=sweeps,
        relax=True,
        order=order,
        block=32,
        rounded=False,
        keep_best=False,
    )


@pytest.mark.full
@pytest.mark.parametrize("case", ["A_b4_sym", "A_b3_asym", "B_b3_asym"])
def test_thirty_sweeps_end_with_the_recorded_codes_and_keep_better_ones(case):
    meta, weight, gram, arrays = load("quantease", case)
    grid = GPTQGrid(meta["bits"], meta["symmetric"])
    scale, zero = grid.fit(weight)
    for order, name in (
        ("given", "quantease_30"),
        ("activation", "quantease_actorder_30"),
    ):
        values = published(weight, gram, grid, 30, order)
        np.testing.assert_array_equal(
            grid.nearest(values, scale, zero), arrays[f"codes/{name}"]
        )
    _, report = quantease(weight, gram, grid, sweeps=30, init="weights", relax=True)
    recorded = meta["objectives"]["quantease_30"]
    assert report.error <= recorded * (1 + 1e-12)
    assert (report.error < recorded * (1 - 1e-6)) == (case == "A_b4_sym")


def test_descent_from_gptq_gives_the_recorded_values():
    _, weight, gram, arrays = load("quantease", "B_refine_outlier_b3")
    coded, _ = quantease(weight, gram, bits=3, sweeps=5)
    values = coded.dequantize()
    np.testing.assert_allclose(values, arrays["out/cd5_from_gptq"], atol=1e-12)


@pytest.mark.full(plain=["uns1"])
@pytest.mark.parametrize("name", ["uns1", "uns5", "col1", "col5"])
def test_the_recorded_codes_and_outliers(name):
    meta, weight, gram, arrays = load("quantease", "B_refine_outlier_b3")
    fraction, structured = int(name[3]) / 100, name.startswith("col")
    found, report = quantease_outliers(
        weight, gram, bits=3, fraction=fraction, structured=structured
    )
    values = found.coded.dequantize()
    np.testing.assert_allclose(values, arrays[f"B/{name}"], atol=1e-12)
    np.testing.assert_allclose(found.outliers, arrays[f"H/{name}"], atol=1e-9)
    recorded = meta["objectives"]
    np.testing.assert_allclose(report.error, recorded[f"outlier_{name}"], rtol=1e-9)
    # Heavy-tailed weights: one in a hundred of them halves the error.
    if name == "uns1":
        assert report.error <= 0.5 * recorded["quantease30_from_W"]


GROUPS = GPTQGrid(4, granularity="group", group_size=16)
OPTIONS = {
    # The published diagonal of an input that is always 0 enters the mean of the
    # damping, which moves the steps of groups by 1e-7.
    "gptq_group16": ({"codec": GROUPS, "block_size": 16}, 1e-7),
    "gptq_group16_bs128": ({"codec": GROUPS}, 1e-7),
    "gptq_static16": ({"codec": GROUPS, "static_groups": True}, 1e-12),
    "gptq_static16_act": (
        {"codec": GROUPS, "static_groups": True, "order": "activation"},
        1e-12,
    ),
    "gptq_damp10": ({"damping": 0.1}, 1e-12),
    "gptq_bs8": ({"block_size": 8}, 1e-12),
    "gptq_bs128": ({}, 1e-12),
}


@pytest.mark.full(plain=["gptq_group16"])
@pytest.mark.parametrize("name", OPTIONS)
def test_options_and_inputs_that_are_always_zero(name):
    _, weight, gram, arrays = load("gptq", "opts_b4_groups_dead")
    options, tolerance = OPTIONS[name]
    values = gptq(weight, gram, **options)[0].dequantize()
    np.testing.assert_allclose(values, arrays[f"out/{name}"], atol=tolerance)


@pytest.mark.full
@pytest.mark.parametrize("name", ["group16", "static16_act", "perrow"])
def test_options_of_descent_and_inputs_that_are_always_zero(name):
    _, weight, gram, arrays = load("gptq", "opts_b4_groups_dead")
    grid = GPTQGrid(4) if name == "perrow" else GROUPS
    order = "activation" if name == "static16_act" else "given"
    values = published(weight, gram, grid, 10, order)
    alive = np.asarray(jnp.diagonal(gram)) > 0
    # With groups the published code rounds the weights of such an input on the grid of
    # another group; their outputs are the same.
    columns = alive if name == "group16" else slice(None)
    expected = arrays[f"out/quantease_{name}_it10"]
    np.testing.assert_allclose(values[:, columns], expected[:, columns], atol=1e-12)


def correlated(seed, decay):
    """A weight and the gram matrix of inputs with spectrum ``k ** -decay``."""
    rng = np.random.default_rng(seed)
    basis = np.linalg.qr(rng.normal(size=(24, 24)))[0]
    scales = np.arange(1, 25) ** (-decay / 2)
    x = rng.normal(size=(96, 24)) * scales @ basis.T + 0.1 * rng.normal(size=24)
    return rng.normal(size=(12, 24)), x.T @ x


@pytest.mark.full
def test_descent_is_never_worse_than_gptq_and_gptq_than_the_nearest():
    ratios = []
    grid = GPTQGrid(3)

    @jax.vmap
    def errors(weight, gram):
        near = round_to_nearest(weight, gram, grid)[1].error
        return (
            near,
            gptq(weight, gram, grid)[1].error,
            quantease(weight, gram, grid)[1].error,
        )

    for decay in (0.0, 0.5, 1.0, 1.5, 2.0):
        cases = [correlated(seed, decay) for seed in range(8)]
        near, first, last = errors(*map(jnp.stack, zip(*cases, strict=True)))
        assert (first <= near).all() and (last <= first * (1 + 1e-12)).all()
        ratios.append(last / first)
    assert np.mean(ratios) <= 0.97


@pytest.mark.full
def test_no_rounded_sweep_is_worse_and_thirty_published_ones_beat_gptq():
    """Up to a decay of 1 alone: with more correlation GPTQ is the better start."""
    grid, counts = GPTQGrid(3), (1, 2, 3, 6)

    @jax.vmap
    def errors(weight, gram):
        each = [quantease(weight, gram, grid, sweeps=n)[1].error for n in counts]
        thirty = quantease(weight, gram, grid, sweeps=30, init="weights", relax=True)
        return gptq(weight, gram, grid)[1].error, jnp.stack(each), thirty[1].error

    decays = (0.0, 0.5, 1.0)
    cases = [correlated(seed, decay) for decay in decays for seed in range(8)]
    first, each, thirty = errors(*map(jnp.stack, zip(*cases, strict=True)))
    assert (np.diff(each, axis=1) <= 1e-12 * each[:, :1]).all()
    # From GPTQ's codes no sweep keeps the best by itself: the last one is returned.
    assert (each[:, -1] < first).all()
    assert (np.mean((thirty / first).reshape(len(decays), -1), axis=1) < 1).all()


@pytest.mark.full
def test_one_input_at_a_time_is_the_exact_minimum():
    """One sweep over uncorrelated inputs rounds to the nearest."""
    weight = np.random.default_rng(0).normal(size=(4, 6))
    gram = jnp.diag(jnp.array([1.0, 2.0, 3.0, 0.0, 5.0, 6.0]))
    nearest, _ = round_to_nearest(jnp.asarray(weight), None, "gptq", bits=3)
    for init in ("weights", "gptq"):
        coded, _ = quantease(weight, gram, bits=3, sweeps=1, init=init)
        live = np.array([0, 1, 2, 4, 5])
        np.testing.assert_array_equal(coded.qvalue[:, live], nearest.qvalue[:, live])


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda w, g: gptq(w), "gptq needs gram"),
        (lambda w, g: quantease(w[0], g), "quantease takes a matrix"),
        (lambda w, g: gptq(w, g[1:]), r"gram must have shape \(6, 6\)"),
        (
            lambda w, g: gptq(w.at[0, 0].set(jnp.nan), g),
            "weight of gptq must be finite",
        ),
        (lambda w, g: quantease(w, g * jnp.inf), "gram of quantease must be finite"),
        (lambda w, g: gptq(w, g, order="active"), "perhaps you meant 'activation'"),
        (lambda w, g: quantease(w, g, init="zeros"), "init"),
        (lambda w, g: gptq(w, g, bits=9), r"\[2, 8\]; got 9"),
        (
            lambda w, g: gptq(
                w, g, GPTQGrid(granularity="group", group_size=3), order="activation"
            ),
            "needs static_groups=True",
        ),
        (
            lambda w, g: gptq(w, g, GPTQGrid(granularity="group", group_size=4)),
            "group_size must divide the last axis, 6 values; got 4",
        ),
        (
            lambda w, g: GPTQGrid(granularity="group"),
            "group_size must be a whole number",
        ),
        (lambda w, g: gptq(w, -g), "must be a sum of outer products; .* falls to -1"),
        (
            # Two examples of six inputs.
            lambda w, g: gptq(w, g.at[2:].set(0).at[2:, 2:].set(1.0), damping=0.0),
            "singular at damping=0.0: fewer examples than the 6 inputs",
        ),
        (lambda w, g: quantease_outliers(w, g, fraction=0.01), "is no outlier"),
        (lambda w, g: quantease_outliers(w, g, fraction=2.0), "fraction"),
        (lambda w, g: GPTQGrid(group_size=4), "belongs to granularity 'group'"),
    ],
)
def test_bad_input(make, words):
    with pytest.raises(InputError, match=words):
        make(jnp.ones((2, 6)), jnp.eye(6))
