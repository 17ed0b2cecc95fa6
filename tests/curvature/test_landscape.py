"""Landscapes: parity with the recorded ones, weights, modes, statistics, programs."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support import vectors
from support.landscapes import case, tanh_loss, under

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.curvature.landscape import planes as landscape
from jaxopt_lab.curvature.landscape import points as landscape_points
from jaxopt_lab.curvature.landscape.directions import normalize_direction

CASES = vectors.cases("landscape")


@pytest.mark.full(plain=["mlp_a-vmap", "mlp_b-auto"])
@pytest.mark.parametrize("mode", ["vmap", "scan", "unroll", "auto"])
@pytest.mark.parametrize("name", CASES)
def test_parity_in_float64(name, mode):
    arrays, params, axes, batch = case(name)
    found = landscape.plane(
        tanh_loss,
        params,
        *axes,
        [batch],
        first_steps=arrays["grid"],
        mode=mode,
        chunk_size=50,
    )
    np.testing.assert_allclose(found.losses, arrays["surface"], rtol=1e-12)
    along = landscape.line(
        tanh_loss, params, axes[0], [batch], steps=arrays["grid"], mode=mode
    )
    np.testing.assert_allclose(along.losses, arrays["line"], rtol=1e-12)


@pytest.mark.full
def test_parity_from_the_raw_directions():
    arrays, params, _, batch = case("mlp_a")
    raw = [under(arrays, f"direction{i}/raw/") for i in (0, 1)]
    axes = [normalize_direction(d, params) for d in raw]
    found = landscape.plane(
        tanh_loss, params, *axes, [batch], first_steps=arrays["grid"]
    )
    np.testing.assert_allclose(found.losses, arrays["surface"], rtol=1e-9)
    one, two = (np.concatenate([x.ravel() for x in d.values()]) for d in axes)
    expected = one @ two / np.linalg.norm(one) / np.linalg.norm(two)
    np.testing.assert_allclose(found.cosine, expected, rtol=1e-10)


@pytest.mark.full
def test_parity_in_float32():
    arrays, params, axes, batch = case("mlp_b", jnp.float32)
    found = landscape.plane(
        tanh_loss, params, *axes, [batch], first_steps=arrays["grid"]
    )
    np.testing.assert_allclose(found.losses, arrays["surface"], rtol=2e-5)


def test_the_middle_is_exactly_the_trained_point():
    _, params, axes, batch = case("mlp_a")
    found = landscape.plane(
        tanh_loss, params, *axes, [batch], first_steps=landscape.grid(0.7, 7)
    )
    at_zero = landscape.plane(
        tanh_loss, params, *axes, [batch], first_steps=[0.0], second_steps=[0.0]
    )
    assert found.first[3] == found.second[3] == 0
    np.testing.assert_allclose(found.losses[3, 3], at_zero.losses[0, 0], rtol=1e-15)
    seen = landscape_points._point((params, *axes), jnp.array([1.0, 0.0, 0.0]))
    for name, value in params.items():
        np.testing.assert_array_equal(seen[name], value)


def test_rows_and_columns_are_first_and_second():
    w, axes = jnp.zeros(2), jnp.eye(2)
    loss = lambda w, x: jnp.sum(w * jnp.array([1.0, 10.0])) + 0 * jnp.sum(x)
    found = landscape.plane(
        loss,
        w,
        axes[0],
        axes[1],
        [jnp.ones(3)],
        first_steps=[-1.0, 0.0, 1.0],
        second_steps=[-2.0, -1.0, 0.0, 1.0, 3.0],
    )
    expected = found.first[:, None] + 10 * found.second[None]
    np.testing.assert_array_equal(found.losses, expected)
    assert found.losses.shape == (3, 5) and found.cosine == 0


def test_interpolation_is_exact_at_both_ends():
    params = {"w": jnp.array([0.1, 1 / 3, 7.7]), "n": jnp.int32(2)}
    end = {"w": jnp.array([0.3, -1e8, 1e-8]), "n": jnp.int32(2)}
    loss = lambda p, x: jnp.sum(p["w"] * x)
    found = landscape.interpolation(loss, params, end, [jnp.array([1.0, 1e-8, 1e8])])
    assert found.steps[0] == 0 and found.steps[-1] == 1 and len(found.steps) == 21
    at = lambda p: float(jax.jit(loss)(p, jnp.array([1.0, 1e-8, 1e8])))
    weighted = [(1 - a) * at(params) + a * at(end) for a in found.steps]
    np.testing.assert_allclose(found.losses, weighted, rtol=1e-13)
    for coefficients, tree in [((1.0, 0.0), params), ((0.0, 1.0), end)]:
        seen = landscape_points._point((params, end), jnp.array(coefficients))
        np.testing.assert_array_equal(seen["w"], tree["w"])


def test_low_precision_parameters_are_cast_up():
    seen = []

    def loss(w, x):
        seen.append(w.dtype)
        return jnp.mean(jnp.square(w)) + 0 * jnp.mean(x)

    w = jnp.full(4, 256.0, jnp.bfloat16)
    found = landscape.line(
        loss, w, jnp.ones(4), [jnp.ones(2, jnp.float32)], steps=[-0.25, 0, 0.25]
    )
    assert set(seen) == {jnp.dtype("float32")}
    np.testing.assert_allclose(found.losses, (256 + found.steps) ** 2, rtol=1e-7)


def test_a_fault_of_the_loss_is_seen():
    loss = lambda w, x: jnp.log(w) * jnp.mean(x)
    found = landscape.line(
        loss, jnp.ones(()), jnp.ones(()), [jnp.ones(3)], steps=[-2.0, 0, 1]
    )
    assert np.isnan(found.losses[0]) and np.all(np.isfinite(found.losses[1:]))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"steps": [-1.0, 0.0, 1.0, 2.0]}, "odd number .* got 4 from -1 to 2"),
        ({"steps": [0.5, 1.0, 1.5]}, "with 0 among them"),
        ({"steps": [[0.0]]}, r"list of finite numbers; got shape \(1, 1\)"),
        ({"steps": [0.0, np.nan, 1.0]}, "list of finite numbers"),
        ({"mode": "map"}, "unknown mode 'map'"),
        ({"chunk_size": 0}, "chunk_size must be a whole number"),
        ({"batches": {"x": jnp.ones(3)}}, "must be a list of batches, .* got a dict"),
        ({"batches": jnp.ones(3)}, "must be a list of batches"),
        ({"batches": iter([jnp.ones(3)])}, "iterated for every"),
        ({"batches": []}, "at least one batch"),
        ({"batches": [jnp.ones(())]}, "share their leading axis"),
        ({"loss_fn": lambda w, x: x}, r"must give a scalar; got .* shape \(3,\)"),
        ({"direction": jnp.ones(2)}, "direction does not fit the parameters"),
    ],
)
def test_bad_input(options, words):
    given = {
        "loss_fn": lambda w, x: w * jnp.mean(x),
        "params": jnp.ones(()),
        "direction": jnp.ones(()),
        "batches": [jnp.ones(3)],
    }
    with pytest.raises(InputError, match=words):
        landscape.line(**{**given, **options})


def test_bad_grids_and_ends():
    with pytest.raises(InputError, match="points must be odd.* got 20"):
        landscape.grid(1.0, 20)
    with pytest.raises(InputError, match="reach must be .* above 0; got 0"):
        landscape.grid(0)
    one = jnp.ones(())
    with pytest.raises(InputError, match="must hold 0 and 1"):
        landscape.interpolation(jnp.dot, one, one, [one], steps=[0.0, 0.5])
    grid = landscape.grid(1 / 3, 7)
    assert grid[3] == 0 and grid[-1] == pytest.approx(1 / 3, abs=1e-16)
    np.testing.assert_array_equal(grid, -grid[::-1])
