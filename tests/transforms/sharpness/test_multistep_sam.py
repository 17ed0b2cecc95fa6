"""multistep_sam: parity with the recorded trajectories, equalities, loop, cost."""

import chex
import jax.numpy as jnp
import optax
import pytest
from support import links, parity, vectors

import jaxopt_lab
from jaxopt_lab.core import trees
from jaxopt_lab.core.errors import InputError

CASES = vectors.cases("multistep_sam")


def chain_of(case, **options):
    k = case.meta["hyper"]["k"]
    link = jaxopt_lab.multistep_sam(parity.rho_of(case), num_ascent=k, **options)
    return optax.chain(link, vectors.base_optimizer(case.meta))


def test_there_are_cases():
    assert len(CASES) == 2


@pytest.mark.full(plain=["k2_sgdm"])
@pytest.mark.parametrize("name", CASES)
def test_parity_in_float64(name):
    case = vectors.load("multistep_sam", name)
    assert parity.error_in_float64(case, chain_of(case)) <= 1e-10


@pytest.mark.full
@pytest.mark.parametrize("name", CASES)
def test_parity_in_float32(name):
    case = vectors.load("multistep_sam", name)
    parity.check_float32(case, chain_of(case))


def chain(rho=0.1, **options):
    return optax.chain(jaxopt_lab.multistep_sam(rho, **options), links.base())


def test_one_ascent_is_sam():
    sam = optax.chain(jaxopt_lab.sam(0.1), links.base())
    chex.assert_trees_all_equal(
        links.trajectory(chain(num_ascent=1)), links.trajectory(sam)
    )


@pytest.mark.full
def test_zero_radius_is_the_base_optimizer():
    links.check_zero_radius_is_the_base(
        lambda rho: jaxopt_lab.multistep_sam(rho, num_ascent=3)
    )


@pytest.mark.full
def test_the_scan_gives_the_same_numbers():
    one = links.trajectory(chain(num_ascent=4))
    two = links.trajectory(chain(num_ascent=4, unroll=False))
    chex.assert_trees_all_close(one, two, rtol=1e-13)


@pytest.mark.full
def test_it_is_optax_opaque_sam():
    params, batch, loss = links.problem()
    grad_fn = jaxopt_lab.batch_grad(loss, batch)
    theirs = optax.contrib.sam(
        links.base(),
        optax.chain(optax.contrib.normalize(), optax.sgd(0.1)),
        sync_period=4,
        opaque_mode=True,
    )
    state = theirs.init(params)
    expected = params
    for _ in range(2):
        grads = grad_fn(expected)
        updates, state = theirs.update(grads, state, expected, grad_fn=grad_fn)
        expected = optax.apply_updates(expected, updates)
    ours = links.trajectory(chain(num_ascent=3), steps=2)
    chex.assert_trees_all_close(ours, expected, rtol=1e-12)


@pytest.mark.full
def test_the_ascents_are_counted_from_zero():
    params, batch, loss = links.problem()
    grad_fn = jaxopt_lab.batch_grad(loss, batch)
    asked = []

    def spy(at, i=0):
        asked.append((i, at))
        return grad_fn(at)

    link = jaxopt_lab.multistep_sam(0.1, num_ascent=3)
    link.update(grad_fn(params), link.init(params), params, grad_fn=spy)
    assert [i for i, _ in asked] == [0, 1, 2]
    before = params
    for _, point in asked:
        moved = {
            k: jnp.subtract(point[k]["kernel"], before[k]["kernel"]) for k in point
        }
        moved["bias"] = point["one"]["bias"] - before["one"]["bias"]
        assert float(trees.global_norm(moved)) == pytest.approx(0.1, rel=1e-12)
        before = point


@pytest.mark.full
@pytest.mark.parametrize("k", [1, 2, 5])
def test_cost(k):
    assert links.example_gradients(chain(num_ascent=k)) == k + 1
    assert links.state_bytes(jaxopt_lab.multistep_sam(0.1, num_ascent=k)) == 0


def make(v):
    link = jaxopt_lab.multistep_sam(v[0], num_ascent=3)
    return optax.chain(link, optax.sgd(v[1], momentum=0.9))


@pytest.mark.full
def test_derivatives():
    links.check_derivatives(make, [0.1, 0.1])


@pytest.mark.full
def test_zero_gradients():
    links.check_zero_gradients(make, [0.1, 0.1])


@pytest.mark.parametrize(
    "wrong, words",
    [
        ({"rho": -0.1}, "rho must be at least 0; got -0.1"),
        ({"num_ascent": 0}, "num_ascent must be a whole number of at least 1; got 0"),
        ({"num_ascent": 2.0}, "num_ascent must be a whole number of at least 1"),
        ({"sync": "both"}, "unknown sync 'both'; accepted: global, local"),
    ],
)
def test_bad_options(wrong, words):
    with pytest.raises(InputError, match=words):
        jaxopt_lab.multistep_sam(**wrong)


def test_counts_and_flags_are_not_injected():
    tx = jaxopt_lab.inject_hyperparams(jaxopt_lab.multistep_sam)(num_ascent=3)
    assert sorted(tx.init({"w": jnp.ones(2)}).hyperparams) == ["rho"]
