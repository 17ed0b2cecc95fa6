"""Refreshing TempBalance: which layers, which states, no step compiled anew."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P
from support.tailed import gaussian, network

import jaxopt_lab
from jaxopt_lab.diagnostics.weights.heavy_tails import layer_spectrum
from jaxopt_lab.diagnostics.weights.temp_balance_refresh import refresh_temp_balance
from jaxopt_lab.transforms.temp_balance import TempBalanceState, scale_by_temp_balance


def exponents_of(state):
    (found,) = [
        part
        for part in jax.tree.leaves(
            state, is_leaf=lambda x: isinstance(x, TempBalanceState)
        )
        if isinstance(part, TempBalanceState)
    ]
    return found.exponents


def test_first_and_last_in_the_order_of_numbers():
    # Sorted as text, layer9 would be the last.
    params = network(11)
    state = refresh_temp_balance(scale_by_temp_balance().init(params), params)
    untouched = {
        name
        for name, part in state.exponents.items()
        if float(next(iter(part.values()))) == 0
    }
    assert untouched == {"layer1", "layer11", "norm"}


def test_a_mask_says_what_is_balanced():
    params = network(3)
    state = refresh_temp_balance(
        scale_by_temp_balance().init(params),
        params,
        mask=jaxopt_lab.core.trees.matching("layer[13]/kernel"),
    )
    for name, there in (("layer1", True), ("layer2", False), ("layer3", True)):
        for leaf in jax.tree.leaves(state.exponents[name]):
            assert (float(leaf) > 0) == there


def test_layers_with_few_eigenvalues_keep_the_base_rate():
    params = network()
    params["layer3"]["kernel"] = gaussian(0, 4, 100)
    init = scale_by_temp_balance().init(params)
    options = {"sampling": "full"}
    found = refresh_temp_balance(init, params, **options).exponents
    assert float(found["layer3"]["kernel"]) == float(found["layer3"]["bias"]) == 0
    assert float(found["layer2"]["kernel"]) > 1
    found = refresh_temp_balance(init, params, min_eigenvalues=4, **options).exponents
    assert float(found["layer3"]["kernel"]) > 1
    # A dead layer has no eigenvalues at all.
    params["layer3"]["kernel"] = jnp.zeros((8, 8))
    found = refresh_temp_balance(init, params, **options).exponents
    assert float(found["layer3"]["kernel"]) == 0


@pytest.mark.full
def test_convolutions_and_options_of_the_windows():
    params = {f"w{i}": gaussian(i, 3, 3, 6, 12, power=2 * i + 1) for i in range(3)}
    params |= {"w3": gaussian(3, 12, 20), "w4": gaussian(4, 12, 20)}
    found = refresh_temp_balance(
        scale_by_temp_balance().init(params), params, aspect=2.0, rows=5, stride=2
    ).exponents
    for name in ("w1", "w2", "w3"):
        alone = layer_spectrum(params[name], aspect=2.0, rows=5, stride=2).alpha
        np.testing.assert_allclose(found[name], alone, rtol=1e-12)


def test_a_bias_follows_the_only_kernel_beside_it():
    params = {
        "a": gaussian(0, 8, 8),
        "b": {"kernel": gaussian(1, 8, 8), "bias": jnp.ones(8)},
        "c": {"one": gaussian(2, 8, 8), "two": gaussian(3, 8, 8), "bias": jnp.ones(8)},
        "d": gaussian(4, 8, 8),
        "e": jnp.ones(8),
    }
    found = refresh_temp_balance(scale_by_temp_balance().init(params), params)
    assert float(found.exponents["b"]["bias"]) == float(found.exponents["b"]["kernel"])
    assert float(found.exponents["c"]["one"]) > 1
    assert float(found.exponents["c"]["bias"]) == float(found.exponents["e"]) == 0


@pytest.mark.parametrize("prefix", [True, False])
def test_inside_masked_it_sees_the_leaves_under_the_mask(prefix):
    params = network()
    mask = {name: name != "layer3" for name in params}
    if not prefix:
        mask = jaxopt_lab.core.trees.resolve_mask(mask, params)
    tx = jaxopt_lab.core.masking.masked(scale_by_temp_balance(), mask)
    state = refresh_temp_balance(tx.init(params), params)
    alpha = exponents_of(state)
    assert not jax.tree.leaves(alpha["layer3"])
    assert float(alpha["layer4"]["kernel"]) > 1
    chex.assert_trees_all_equal_structs(state, tx.init(params))
    updates, _ = tx.update(params, state, params)
    chex.assert_trees_all_equal(updates["layer3"], params["layer3"])


def test_refreshing_compiles_no_step_anew():
    params = network()
    tx = optax.chain(optax.adam(0.1), scale_by_temp_balance())
    step = jax.jit(chex.assert_max_traces(tx.update, n=1))
    state = tx.init(params)
    chex.clear_trace_counter()
    for _ in range(2):
        _, state = step(params, state, params)
        state = refresh_temp_balance(state, params)
    assert step._cache_size() == 1


@pytest.mark.full
@pytest.mark.parametrize("axis", [AxisType.Auto, AxisType.Explicit])
def test_sharded_over_eight_devices(axis):
    mesh = jax.make_mesh((8,), ("x",), axis_types=(axis,))
    split, whole = NamedSharding(mesh, P("x")), NamedSharding(mesh, P())
    params = network()
    tx = optax.chain(optax.sgd(0.1), scale_by_temp_balance())
    expected, _ = tx.update(
        params, refresh_temp_balance(tx.init(params), params), params
    )
    there = jax.device_put(params, split)
    state = jax.device_put(tx.init(params), whole)
    state = refresh_temp_balance(state, there)
    assert all(x.sharding == whole for x in jax.tree.leaves(state))
    updates, _ = jax.jit(tx.update)(there, state, there)
    for leaf in jax.tree.leaves(updates):
        assert leaf.sharding.is_equivalent_to(split, leaf.ndim)
    chex.assert_trees_all_close(updates, expected, rtol=1e-12)


@pytest.mark.full
def test_several_seeds_at_once():
    nets = [network(), jax.tree.map(lambda x: x + 0.1, network())]
    stacked = jax.tree.map(lambda *x: jnp.stack(x), *nets)
    link = scale_by_temp_balance()
    refresh = jax.jit(jax.vmap(refresh_temp_balance))
    together = refresh(jax.vmap(link.init)(stacked), stacked)
    for i, net in enumerate(nets):
        chex.assert_trees_all_close(
            jax.tree.map(lambda x, i=i: x[i], together),
            refresh_temp_balance(link.init(net), net),
            rtol=1e-10,
        )
