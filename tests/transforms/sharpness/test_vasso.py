"""vasso: parity with the recorded trajectories, equalities, cost, derivatives."""

import chex
import optax
import pytest
from support import links, on_devices, parity, vectors

import jaxopt_lab
from jaxopt_lab.core.errors import InputError

CASES = vectors.cases("vasso")


def chain_of(case):
    hyper = case.meta["hyper"]
    link = jaxopt_lab.vasso(hyper["rho"], theta=hyper["theta"])
    return optax.chain(link, vectors.base_optimizer(case.meta))


def test_there_are_cases():
    assert len(CASES) == 2


@pytest.mark.full(plain=["adam_conv"])
@pytest.mark.parametrize("name", CASES)
def test_parity_in_float64(name):
    case = vectors.load("vasso", name)
    assert parity.error_in_float64(case, chain_of(case)) <= 1e-10


@pytest.mark.full
@pytest.mark.parametrize("name", CASES)
def test_parity_in_float32(name):
    case = vectors.load("vasso", name)
    parity.check_float32(case, chain_of(case))


def chain(rho=0.1, **options):
    return optax.chain(jaxopt_lab.vasso(rho, **options), links.base())


@pytest.mark.full
def test_zero_radius_is_the_base_optimizer():
    links.check_zero_radius_is_the_base(jaxopt_lab.vasso)


@pytest.mark.full
def test_with_the_newest_gradient_alone_it_is_sam():
    sam = optax.chain(jaxopt_lab.sam(0.1), links.base())
    ours = links.trajectory(chain(theta=1.0, eps=0.0))
    chex.assert_trees_all_close(ours, links.trajectory(sam), rtol=0, atol=1e-15)


def test_a_fixed_average_keeps_the_first_direction():
    _, state = links.trajectory(chain(theta=0.0), 3, chain_state=True)
    params, batch, loss = links.problem()
    first = jaxopt_lab.batch_grad(loss, batch)(params)
    chex.assert_trees_all_close(state[0].average, first, rtol=1e-13)


@pytest.mark.full
@pytest.mark.parametrize("style", on_devices.STYLES)
def test_devices_give_the_numbers_of_one(style):
    got = on_devices.parameters_after(chain(), style, 4)
    expected = links.trajectory(chain(), steps=3)
    chex.assert_trees_all_close(got, expected, rtol=1e-12, atol=1e-14)


@pytest.mark.full
def test_cost():
    assert links.example_gradients(chain()) == 2
    assert links.state_bytes(jaxopt_lab.vasso(0.1)) == 4


def make(v):
    link = jaxopt_lab.vasso(v[0], theta=v[1])
    return optax.chain(link, optax.sgd(v[2], momentum=0.9))


@pytest.mark.full
def test_derivatives():
    links.check_derivatives(make, [0.1, 0.4, 0.1])


@pytest.mark.full
def test_zero_gradients():
    links.check_zero_gradients(make, [0.1, 0.4, 0.1])


@pytest.mark.parametrize(
    "wrong, words",
    [
        ({"rho": -0.1}, "rho must be at least 0; got -0.1"),
        ({"theta": 1.5}, r"theta must lie in \[0, 1\]; got 1.5"),
        ({"eps": -1e-7}, "eps must be at least 0; got -1e-07"),
    ],
)
def test_bad_options(wrong, words):
    with pytest.raises(InputError, match=words):
        jaxopt_lab.vasso(**wrong)
