"""friendly_sam: parity with the recorded trajectories, the average, cost."""

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

CASES = vectors.cases("friendly_sam")


def chain_of(case):
    hyper = case.meta["hyper"]
    link = jaxopt_lab.friendly_sam(
        hyper["rho"], sigma=hyper["sigma"], decay=hyper["lmbda"]
    )
    return optax.chain(link, vectors.base_optimizer(case.meta))


def test_there_are_cases():
    assert len(CASES) == 2


@pytest.mark.full(plain=["sgdm_wd"])
@pytest.mark.parametrize("name", CASES)
def test_parity_in_float64(name):
    case = vectors.load("friendly_sam", name)
    assert parity.error_in_float64(case, chain_of(case)) <= 1e-10


@pytest.mark.full
@pytest.mark.parametrize("name", CASES)
def test_parity_in_float32(name):
    case = vectors.load("friendly_sam", name)
    parity.check_float32(case, chain_of(case))


def chain(rho=0.1, **options):
    return optax.chain(jaxopt_lab.friendly_sam(rho, **options), links.base())


@pytest.mark.full
def test_zero_radius_is_the_base_optimizer():
    links.check_zero_radius_is_the_base(jaxopt_lab.friendly_sam)


@pytest.mark.full
def test_without_sigma_it_is_sam():
    sam = optax.chain(jaxopt_lab.sam(0.1), links.base())
    ours = links.trajectory(chain(sigma=0.0))
    chex.assert_trees_all_close(ours, links.trajectory(sam), rtol=0, atol=1e-15)


def test_the_average_is_one_of_raw_gradients():
    params, link = jnp.array([1.0, 1.0]), jaxopt_lab.friendly_sam(0.5, decay=0.75)
    state, asked = link.init(params), []
    grads = [jnp.array([1.0, 0.0]), jnp.array([2.0, 4.0]), jnp.array([0.0, 1.0])]
    for g in grads:

        def spy(at, i=0, g=g):
            assert i == 0  # the first other gradient of the step
            asked.append(at - params)
            return g

        _, state = link.update(g, state, params, grad_fn=spy)
    averages = [grads[0], 0.75 * grads[0] + 0.25 * grads[1]]
    directions = [grads[0], grads[1] - averages[0], grads[2] - averages[1]]
    for moved, d in zip(asked, directions, strict=True):
        np.testing.assert_allclose(moved, 0.5 * d / jnp.linalg.norm(d), rtol=1e-13)
    expected = 0.75 * averages[1] + 0.25 * grads[2]
    np.testing.assert_allclose(state.average, expected, rtol=1e-14)


@pytest.mark.full
@pytest.mark.parametrize("style", on_devices.STYLES)
def test_devices_give_the_numbers_of_one(style):
    got = on_devices.parameters_after(chain(), style, 4)
    expected = links.trajectory(chain(), steps=3)
    chex.assert_trees_all_close(got, expected, rtol=1e-12, atol=1e-14)


@pytest.mark.full
def test_cost():
    assert links.example_gradients(chain()) == 2
    link = jaxopt_lab.friendly_sam(0.1)
    assert links.state_bytes(link) == 4
    params = {"w": jnp.ones((3, 2), jnp.float32)}
    assert trees.nbytes(link.init(params)) == 4 * 6 + 4


def make(v):
    link = jaxopt_lab.friendly_sam(v[0], sigma=v[1], decay=v[2])
    return optax.chain(link, optax.sgd(v[3], momentum=0.9))


@pytest.mark.full
def test_derivatives():
    links.check_derivatives(make, [0.1, 0.7, 0.6, 0.1])


@pytest.mark.full
def test_zero_gradients():
    links.check_zero_gradients(make, [0.1, 1.0, 0.9, 0.1])


@pytest.mark.parametrize(
    "wrong, words",
    [
        ({"rho": -0.1}, "rho must be at least 0; got -0.1"),
        ({"sigma": -0.1}, "sigma must be at least 0; got -0.1"),
        ({"decay": 1.5}, r"decay must lie in \[0, 1\]; got 1.5"),
    ],
)
def test_bad_options(wrong, words):
    with pytest.raises(InputError, match=words):
        jaxopt_lab.friendly_sam(**wrong)


def test_numbers_are_injected():
    tx = jaxopt_lab.inject_hyperparams(jaxopt_lab.friendly_sam)()
    assert sorted(tx.init(jnp.ones(2)).hyperparams) == ["decay", "rho", "sigma"]


def test_the_state_maps_over_parameters():
    params = {"w": jnp.ones((3, 2))}
    state = jax.eval_shape(jaxopt_lab.friendly_sam().init, params)
    mapped = optax.tree.map_params(
        jaxopt_lab.friendly_sam(), lambda leaf: "here", state
    )
    assert mapped.average == {"w": "here"}
