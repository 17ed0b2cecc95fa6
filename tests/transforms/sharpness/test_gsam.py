"""gsam: parity with the recorded trajectories, the decomposition, cost, derivatives."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from support import links, on_devices, parity, vectors

import jaxopt_lab
from jaxopt_lab.core import trees
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.transforms.sharpness.projection import orthogonal_component

CASES = vectors.cases("gsam")


def chain_of(case):
    link = jaxopt_lab.gsam(parity.rho_of(case), alpha=case.meta["hyper"]["alpha"])
    return optax.chain(link, vectors.base_optimizer(case.meta))


def test_there_are_cases():
    assert len(CASES) == 3


@pytest.mark.full(plain=["sgdm_wd"])
@pytest.mark.parametrize("name", CASES)
def test_parity_in_float64(name):
    case = vectors.load("gsam", name)
    assert parity.error_in_float64(case, chain_of(case)) <= 1e-10


@pytest.mark.full
@pytest.mark.parametrize("name", CASES)
def test_parity_in_float32(name):
    case = vectors.load("gsam", name)
    parity.check_float32(case, chain_of(case))


def chain(rho=0.2, **options):
    return optax.chain(jaxopt_lab.gsam(rho, **options), links.base())


@pytest.mark.full(plain=["abs_over_range-samson"])
@pytest.mark.parametrize(
    "scaling, name",
    [("identity", "sam"), ("abs", "asam"), ("abs_over_range", "samson")],
)
def test_without_alpha_it_is_the_link_with_that_scaling(scaling, name):
    ours = links.trajectory(chain(alpha=0.0, scaling=scaling))
    link = getattr(jaxopt_lab, name)(0.2)
    theirs = links.trajectory(optax.chain(link, links.base()))
    chex.assert_trees_all_close(ours, theirs, rtol=0, atol=1e-15)


@pytest.mark.full
def test_zero_radius_is_the_base_optimizer_but_for_rounding():
    links.check_zero_radius_is_the_base(jaxopt_lab.gsam, atol=1e-14)


def test_what_is_left_out_lies_across_the_perturbed_gradient():
    one = {"a": jnp.array([1.0, 2.0]), "b": jnp.array([[3.0]])}
    two = {"a": jnp.array([-2.0, 0.5]), "b": jnp.array([[1.0]])}
    rest = orthogonal_component(one, two)
    assert abs(float(trees.dot(rest, two))) < 1e-14
    part = jax.tree.map(jnp.subtract, one, rest)
    expected = trees.dot(one, two) / trees.global_norm(two) ** 2
    chex.assert_trees_all_close(
        part, jax.tree.map(lambda x: expected * x, two), rtol=1e-13
    )


def test_nothing_is_lost_in_float32_for_tiny_gradients():
    tiny = jax.tree.map(lambda x: jnp.float32(1e-25) * x, jnp.array([3.0, 4.0], "f"))
    along = jnp.array([1e-25, 0.0], jnp.float32)
    # Squares of such numbers are zero in float32.
    np.testing.assert_allclose(orthogonal_component(tiny, along)[1], 4e-25, rtol=1e-6)
    np.testing.assert_array_equal(
        orthogonal_component(tiny, jnp.zeros_like(along)), tiny
    )


@pytest.mark.full
@pytest.mark.parametrize("style", on_devices.STYLES)
def test_devices_give_the_numbers_of_one(style):
    got = on_devices.parameters_after(chain(), style, 4)
    expected = links.trajectory(chain(), steps=3)
    chex.assert_trees_all_close(got, expected, rtol=1e-12, atol=1e-14)


@pytest.mark.full
def test_local_decompositions_are_averaged():
    params, batch, loss = links.problem()
    link, parts = jaxopt_lab.gsam(0.2), []
    for j in range(4):
        part = jax.tree.map(lambda x, j=j: x[2 * j : 2 * j + 2], batch)
        grad_fn = jaxopt_lab.batch_grad(loss, part)
        g, _ = link.update(grad_fn(params), link.init(params), params, grad_fn=grad_fn)
        parts.append(g)
    expected = jax.tree.map(lambda p, *g: p - 0.1 * sum(g) / 4, params, *parts)
    tx = optax.chain(jaxopt_lab.gsam(0.2, sync="local"), optax.sgd(0.1))
    got = on_devices.parameters_after(tx, "shard_map with check_vma", 4, steps=1)
    chex.assert_trees_all_close(got, expected, rtol=1e-12, atol=1e-14)


def test_the_radius_follows_the_step_size():
    rates = optax.cosine_decay_schedule(0.1, 10, alpha=0.2)
    rho = jaxopt_lab.rho_following(
        rates, lr_max=0.1, rho_max=0.6, lr_min=0.02, rho_min=0.2
    )
    np.testing.assert_allclose([rho(0), rho(10)], [0.6, 0.2], rtol=1e-6)
    expected = 0.2 + 0.4 * (rates(5) - 0.02) / 0.08
    np.testing.assert_allclose(rho(5), expected, rtol=1e-6)
    with pytest.raises(InputError, match="lr_max must exceed lr_min; got 0.1 and 0.1"):
        jaxopt_lab.rho_following(rates, lr_max=0.1, rho_max=1.0, lr_min=0.1)


def test_cost():
    assert links.example_gradients(chain()) == 2
    assert links.state_bytes(jaxopt_lab.gsam(0.2)) == 0


def make(v):
    return optax.chain(jaxopt_lab.gsam(v[0], alpha=v[1]), optax.sgd(v[2], momentum=0.9))


@pytest.mark.full
def test_derivatives():
    links.check_derivatives(make, [0.2, 0.4, 0.1])


@pytest.mark.full
def test_zero_gradients():
    links.check_zero_gradients(make, [0.2, 0.4, 0.1])


@pytest.mark.parametrize(
    "wrong, words",
    [
        ({"rho": -0.1}, "rho must be at least 0; got -0.1"),
        ({"alpha": -0.1}, "alpha must be at least 0; got -0.1"),
        ({"scaling": "sma"}, "unknown scaling 'sma'"),
    ],
)
def test_bad_options(wrong, words):
    with pytest.raises(InputError, match=words):
        jaxopt_lab.gsam(**wrong)
