"""TempBalance: the map of the official code, which layers it moves, its contracts."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from battery.registry import failures
from battery.transform import Subject
from support import vectors
from support.tailed import gaussian, network

import jaxopt_lab
from jaxopt_lab.catalog import Neutral, Transform
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.options import NON_NEGATIVE, Option
from jaxopt_lab.diagnostics.weights.heavy_tails import layer_spectrum
from jaxopt_lab.diagnostics.weights.temp_balance_refresh import refresh_temp_balance
from jaxopt_lab.transforms.temp_balance import (
    scale_by_temp_balance,
    temp_balance_scales,
)

MAPS = {
    "linear": "tb_linear_map",
    "sqrt": "tb_sqrt",
    "log2": "tb_log2",
    "step": "tb_step",
}


def recorded():
    with np.load(vectors.VECTORS / "farms" / "lr_map.npz") as file:
        return {key: file[key] for key in file.files if key != "meta"}


@pytest.mark.parametrize("assignment", MAPS)
def test_parity_of_the_map(assignment):
    arrays = recorded()
    alpha = jnp.asarray(arrays["alpha"])
    scales = temp_balance_scales(alpha, 0.5, 1.5, assignment=assignment)
    np.testing.assert_allclose(0.1 * scales, arrays[MAPS[assignment]], rtol=1e-14)
    # Layers that are left out change nothing for the others.
    more = jnp.concatenate([jnp.zeros(1), alpha, jnp.array([jnp.inf, jnp.nan])])
    scales = temp_balance_scales(more, 0.5, 1.5, assignment=assignment)
    np.testing.assert_allclose(0.1 * scales[1:-2], arrays[MAPS[assignment]], rtol=1e-14)
    np.testing.assert_array_equal(scales[jnp.array([0, -2])], 1)
    assert jnp.isnan(scales[-1])  # a weight of it is not finite


@pytest.mark.full(plain=["step"])
@pytest.mark.parametrize("assignment", MAPS)
def test_parity_through_the_link(assignment):
    arrays = recorded()
    params = {f"w{i}": jnp.ones(()) for i in range(9)}
    tx = optax.chain(optax.sgd(0.1), scale_by_temp_balance(assignment=assignment))
    base, state = tx.init(params)
    alpha = {f"w{i}": jnp.asarray(a) for i, a in enumerate(arrays["alpha"])}
    state = (base, state._replace(exponents=alpha))
    updates, _ = jax.jit(tx.update)(params, state, params)
    got = -jnp.stack(jax.tree.leaves(updates))
    np.testing.assert_allclose(got, arrays[MAPS[assignment]], rtol=1e-12)


@pytest.mark.parametrize("assignment", MAPS)
def test_nothing_to_balance(assignment):
    for alpha in ([0.0, 0.0], [3.0, 3.0], [0.0, 3.0]):
        scales = temp_balance_scales(jnp.array(alpha), assignment=assignment)
        np.testing.assert_array_equal(scales, 1)


def test_before_the_first_refresh_it_is_the_identity():
    params = network()
    link = scale_by_temp_balance()
    updates, state = jax.jit(link.update)(params, link.init(params))
    chex.assert_trees_all_equal(updates, params)
    assert int(state.count) == 1


@pytest.mark.full
@pytest.mark.parametrize("base", [optax.sgd(0.1, momentum=0.9), optax.adamw(0.1)])
def test_it_is_a_step_size_of_each_layer(base):
    params, grads = network(), network(width=8)
    tx = optax.chain(base, scale_by_temp_balance(0.3, 1.7))
    state = refresh_temp_balance(tx.init(params), params)
    updates, _ = jax.jit(tx.update)(grads, state, params)
    plain, _ = jax.jit(base.update)(grads, base.init(params), params)
    alpha = [
        float(layer_spectrum(params[f"layer{i}"]["kernel"]).alpha) for i in (2, 3, 4)
    ]
    factor = np.interp(alpha, [min(alpha), max(alpha)], [0.3, 1.7])
    expected = dict.fromkeys(params, 1.0)
    expected |= {f"layer{i}": f for i, f in zip((2, 3, 4), factor, strict=True)}
    assert sorted(set(np.round(factor, 2)))[0] == 0.3
    for name, factor in expected.items():
        chex.assert_trees_all_close(
            updates[name],
            jax.tree.map(lambda u, f=factor: f * u, plain[name]),
            rtol=1e-12,
        )


@pytest.mark.full
def test_schedules_and_injection():
    params = network()
    low = lambda count: 0.5 + 0.25 * count
    tx = jaxopt_lab.inject_hyperparams(scale_by_temp_balance)(low, 1.5)
    state = refresh_temp_balance(tx.init(params), params)
    assert sorted(state.hyperparams) == ["high", "low"]
    plain = scale_by_temp_balance(low, 1.5)
    other = refresh_temp_balance(plain.init(params), params)
    lowest = []
    for _ in range(2):
        one, state = tx.update(params, state, params)
        two, other = plain.update(params, other, params)
        chex.assert_trees_all_close(one, two, rtol=1e-6)
        ratios = jax.tree.map(lambda u, p: jnp.min(u / p), two, params)
        lowest.append(min(float(r) for r in jax.tree.leaves(ratios)))
    np.testing.assert_allclose(lowest, [0.5, 0.75], rtol=1e-12)


@pytest.mark.full
@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float32, jnp.float64])
def test_dtypes(dtype):
    params = jax.tree.map(lambda x: x.astype(dtype), network())
    link = scale_by_temp_balance()
    state = link.init(params)
    abstract = jax.eval_shape(link.init, jax.tree.map(jax.typeof, params))
    chex.assert_trees_all_equal_shapes_and_dtypes(state, abstract)
    fresh = refresh_temp_balance(state, params)
    chex.assert_trees_all_equal_shapes_and_dtypes(fresh, state)
    updates, _ = link.update(params, fresh, params, value=1.0, unknown="extra")
    chex.assert_trees_all_equal_shapes_and_dtypes(updates, params)
    wide = jaxopt_lab.core.trees.cast(params, jnp.float64)
    expected, _ = link.update(wide, fresh, wide)
    eps = float(jnp.finfo(dtype).eps)
    chex.assert_trees_all_close(
        jaxopt_lab.core.trees.cast(updates, jnp.float64), expected, rtol=2 * eps + 1e-6
    )


def test_derivatives():
    updates = {f"w{i}": gaussian(i, 3) for i in range(4)}
    alpha = {f"w{i}": jnp.array(a) for i, a in enumerate([2.0, 2.7, 0.0, 3.5])}

    def value(low, high, updates):
        link = scale_by_temp_balance(low, high)
        state = link.init(updates)._replace(exponents=alpha)
        out, _ = link.update(updates, state)
        return sum(jnp.sum(jnp.sin(x)) for x in jax.tree.leaves(out))

    slopes = jax.grad(value, argnums=(0, 1))(0.4, 1.6, updates)
    h = 1e-6
    for slope, (dl, dh) in zip(slopes, [(h, 0), (0, h)], strict=True):
        up, down = (value(0.4 + s * dl, 1.6 + s * dh, updates) for s in (1, -1))
        np.testing.assert_allclose(slope, (up - down) / (2 * h), rtol=1e-8)


@pytest.mark.full
def test_the_exponents_have_finite_derivatives_everywhere():
    for assignment in MAPS:
        slope = jax.jacobian(
            lambda a, name=assignment: temp_balance_scales(a, assignment=name)
        )
        for alpha in ([0.0, 0.0], [2.0, 2.0], [1.0, 1.0], [2.0, 0.0], [2.0, 3.0]):
            assert bool(jnp.all(jnp.isfinite(slope(jnp.array(alpha)))))


def preset(low, high):
    """The link with exponents of three kinds from the start."""
    link = scale_by_temp_balance(low, high)

    def init(params):
        state = link.init(params)
        leaves, treedef = jax.tree.flatten(state.exponents)
        values = [x + (2.0, 0.0, 3.0)[i % 3] for i, x in enumerate(leaves)]
        return state._replace(exponents=treedef.unflatten(values))

    return optax.GradientTransformationExtraArgs(init, link.update)


def after(base, low, high):
    return optax.chain(base, preset(low, high))


@pytest.mark.full
@pytest.mark.parametrize("role, factory", [("link", preset), ("wrapper", after)])
def test_the_battery(role, factory):
    row = Transform(
        name="temp_balance",
        family="curvature",
        role=role,
        summary="",
        build=factory,
        reduces_to=Neutral({"low": 1.0, "high": 1.0}, "optax:identity"),
        options={
            "low": Option(0.5, "", NON_NEGATIVE),
            "high": Option(1.5, "", NON_NEGATIVE),
        },
        gradients=1,
        state_bytes="0",
        temp_bytes="4",
        paper="",
    )
    assert failures(Subject(row)) == {}


@pytest.mark.parametrize(
    "run, words",
    [
        (lambda: scale_by_temp_balance(-0.1), "low must be at least 0; got -0.1"),
        (lambda: scale_by_temp_balance(high=-1.0), "high must be at least 0"),
        (lambda: scale_by_temp_balance(assignment="cube"), "unknown assignment 'cube'"),
        (lambda: refresh_temp_balance(optax.EmptyState(), network()), "nothing to ref"),
        (
            lambda: refresh_temp_balance(
                scale_by_temp_balance().init(network()), network(2)
            ),
            "params are not those of the optimizer state: layer3/bias: missing",
        ),
        (
            lambda: refresh_temp_balance(
                scale_by_temp_balance().init(network()), network(), min_eigenvalues=0
            ),
            "min_eigenvalues must be a whole number",
        ),
    ],
)
def test_bad_input(run, words):
    with pytest.raises(InputError, match=words):
        run()
