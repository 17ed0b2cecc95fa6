"""asam: parity with the recorded trajectories, equalities, T, cost, derivatives."""

import chex
import jax
import jax.numpy as jnp
import optax
import pytest
from support import links, parity, vectors

import jaxopt_lab
from jaxopt_lab.core import trees
from jaxopt_lab.core.errors import InputError

CASES = vectors.cases("asam")


def everything(params):
    return jax.tree.map(lambda _: True, params)


def chain_of(case):
    hyper = case.meta["hyper"]
    mask = everything if hyper.get("adapt") == "all" else parity.WEIGHTS
    link = jaxopt_lab.asam(parity.rho_of(case), eta=hyper["eta"], adapt_mask=mask)
    return optax.chain(link, vectors.base_optimizer(case.meta))


def test_there_are_cases():
    assert len(CASES) == 6


@pytest.mark.full(plain=["adam_conv"])
@pytest.mark.parametrize("name", CASES)
def test_parity_in_float64(name):
    case = vectors.load("asam", name)
    assert parity.error_in_float64(case, chain_of(case)) <= 1e-10


@pytest.mark.full(plain=["adam_conv"])
@pytest.mark.parametrize("name", CASES)
def test_parity_in_float32(name):
    case = vectors.load("asam", name)
    parity.check_float32(case, chain_of(case))


@pytest.mark.full
def test_zero_radius_is_the_base_optimizer():
    links.check_zero_radius_is_the_base(jaxopt_lab.asam)


def test_without_adapted_leaves_it_is_sam():
    def none(params):
        return jax.tree.map(lambda _: False, params)

    ours = optax.chain(jaxopt_lab.asam(0.1, adapt_mask=none), links.base())
    sam = optax.chain(jaxopt_lab.sam(0.1), links.base())
    chex.assert_trees_all_close(
        links.trajectory(ours), links.trajectory(sam), rtol=0, atol=1e-15
    )


def perturbed_by(link, params, grads):
    seen = []

    def spy(at, i=0):
        seen.append(at)
        return grads

    link.update(grads, link.init(params), params, grad_fn=spy)
    return jax.tree.map(jnp.subtract, seen[0], params)


PARAMS = {
    "kernel": jnp.array([2.0, -3.0, 0.0]),
    "scale": jnp.array([0.5]),
    "bias": jnp.array([7.0]),
}
GRADS = {
    "kernel": jnp.array([1.0, 2.0, 5.0]),
    "scale": jnp.array([-1.0]),
    "bias": jnp.array([3.0]),
}


def by_hand(t, rho=0.7):
    norm = trees.global_norm(jax.tree.map(jnp.multiply, t, GRADS))
    return jax.tree.map(lambda t, g: rho * t * t * g / norm, t, GRADS)


def test_all_but_biases_are_adapted_by_default():
    t = {
        "kernel": jnp.array([2.1, 3.1, 0.1]),
        "scale": jnp.array([0.6]),
        "bias": jnp.ones(1),
    }
    moved = perturbed_by(jaxopt_lab.asam(0.7, eta=0.1), PARAMS, GRADS)
    chex.assert_trees_all_close(moved, by_hand(t), rtol=1e-12)


def test_the_adapt_mask_and_the_perturb_mask():
    link = jaxopt_lab.asam(
        0.7,
        eta=0.0,
        adapt_mask={"kernel": True, "scale": False, "bias": True},
        perturb_mask=trees.everything_but("kernel"),
        norm_over="all",
    )
    t = {"kernel": jnp.abs(PARAMS["kernel"]), "scale": jnp.ones(1)}
    expected = by_hand({**t, "bias": jnp.array([7.0])})
    expected["kernel"] = jnp.zeros(3)
    chex.assert_trees_all_close(
        perturbed_by(link, PARAMS, GRADS), expected, rtol=1e-12, atol=1e-15
    )


def test_cost():
    tx = optax.chain(jaxopt_lab.asam(0.5), optax.sgd(0.1))
    assert links.example_gradients(tx) == 2
    assert links.state_bytes(tx) == 0


def make(v):
    return optax.chain(jaxopt_lab.asam(v[0], eta=v[1]), optax.sgd(v[2], momentum=0.9))


@pytest.mark.full
def test_derivatives():
    links.check_derivatives(make, [0.5, 0.05, 0.1])


@pytest.mark.full(plain=["True"])
@pytest.mark.parametrize("zero_params", [False, True])
def test_zero_gradients(zero_params):
    links.check_zero_gradients(make, [0.5, 0.0, 0.1], zero_params)


@pytest.mark.parametrize(
    "wrong, words",
    [
        ({"rho": -0.1}, "rho must be at least 0; got -0.1"),
        ({"eta": -1.0}, "eta must be at least 0; got -1.0"),
        ({"sync": "both"}, "unknown sync 'both'; accepted: global, local"),
        ({"norm_over": "some"}, "unknown norm_over 'some'; accepted: all, perturbed"),
    ],
)
def test_bad_options(wrong, words):
    with pytest.raises(InputError, match=words):
        jaxopt_lab.asam(**wrong)


def test_a_mask_that_does_not_fit_is_refused():
    link = jaxopt_lab.asam(adapt_mask={"kernel": True})
    with pytest.raises(InputError, match="adapt_mask does not fit"):
        perturbed_by(link, PARAMS, GRADS)


def test_numbers_are_injected_and_masks_are_not():
    tx = jaxopt_lab.inject_hyperparams(jaxopt_lab.asam)(
        rho=lambda count: 0.1 * (count + 1.0), adapt_mask=trees.everything_but("bias")
    )
    assert sorted(tx.init(PARAMS).hyperparams) == ["eta", "rho"]
    plain = jaxopt_lab.asam(0.1)
    chex.assert_trees_all_close(
        perturbed_by(tx, PARAMS, GRADS), perturbed_by(plain, PARAMS, GRADS), rtol=1e-12
    )
