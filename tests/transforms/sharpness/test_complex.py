"""Complex parameters: the numbers of their real and imaginary parts."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxopt_lab
from jaxopt_lab.core import trees
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.perturbation import magnitude, perturb
from jaxopt_lab.training import init_state, make_train_step

C = np.array([1.0 + 2.0j, -0.5 + 0.25j])
Z = np.array([0.3 - 0.4j, 0.2 + 0.1j])
BATCH = jnp.array([1.0, 3.0])


def loss(z, x):
    """Curved differently along the real and the imaginary parts."""
    d = z - C
    return jnp.mean(x) * jnp.sum(jnp.abs(d) ** 2 + 0.5 * jnp.imag(d) ** 4)


def paired_loss(pair, x):
    return loss(jax.lax.complex(pair[0], pair[1]), x)


def trained(tx, params, loss_fn, steps=3):
    """Parameters to evaluate after some steps of the train step."""
    step = make_train_step(lambda p, s, x, k: (loss_fn(p, x), (s, {})), tx)
    state = init_state(tx, params, jax.random.key(0))
    state, _ = jax.lax.scan(lambda s, _: step(s, BATCH), state, length=steps)
    return jaxopt_lab.eval_params(state.params, state.opt_state)


def sgd():
    return optax.sgd(0.02, momentum=0.9)


LINKS = {
    "sam": jaxopt_lab.sam(0.1),
    "gsam": jaxopt_lab.gsam(0.1),
    "looksam": jaxopt_lab.looksam(0.1, every=2),
    "multistep_sam": jaxopt_lab.multistep_sam(0.1),
    "msam": jaxopt_lab.msam(0.1, num_shards=2),
    "friendly_sam": jaxopt_lab.friendly_sam(0.1),
    "vasso": jaxopt_lab.vasso(0.1),
    "esam": jaxopt_lab.esam(0.1),
}
TXS = {
    "plain": sgd(),
    **{name: optax.chain(link, sgd()) for name, link in LINKS.items()},
    "lookbehind": jaxopt_lab.lookbehind(sgd(), 0.1, k=2, alpha="adaptive"),
    "wsam": jaxopt_lab.wsam(sgd(), 0.1, learning_rate=0.02),
    "momentum_sam": jaxopt_lab.momentum_sam(sgd(), 0.1),
    "stale_sam": jaxopt_lab.stale_sam(sgd(), 0.1),
    "lookahead": jaxopt_lab.lookahead(sgd(), k=2),
}
CHEAP = ["plain", "sam", "looksam", "momentum_sam"]


@pytest.mark.parametrize(
    "names",
    [CHEAP, pytest.param([n for n in TXS if n not in CHEAP], marks=pytest.mark.full)],
    ids=["some", "others"],
)
def test_the_trajectory_is_that_of_the_real_pair(names):
    pair = jnp.stack([Z.real, Z.imag])

    @jax.jit
    def both(z, pair):
        return {
            name: (trained(TXS[name], z, loss), trained(TXS[name], pair, paired_loss))
            for name in names
        }

    for name, (z, expected) in both(jnp.asarray(Z), pair).items():
        assert z.dtype == np.complex128
        got = np.stack([z.real, z.imag])
        np.testing.assert_allclose(got, expected, rtol=1e-12, err_msg=name)
        assert np.abs(got - pair).max() > 0.05


def test_sam_climbs_the_whole_radius():
    z = np.zeros(2, np.complex64)
    c = np.array([0.6 + 3j, 1 - 2j], np.complex64)
    seen = []
    grad_fn = jaxopt_lab.batch_grad(lambda z, _: jnp.sum(jnp.abs(z - c) ** 2), z)
    np.testing.assert_allclose(grad_fn(z), 2 * (z - c), rtol=1e-6)
    link = jaxopt_lab.sam(rho=1.0)
    spy = lambda p: seen.append(p) or grad_fn(p)
    link.update(grad_fn(z), link.init(z), z, grad_fn=spy)
    away = -c / np.linalg.norm(c)  # the loss rises fastest away from c
    np.testing.assert_allclose(seen[0], away, rtol=1e-6)


@pytest.mark.parametrize("name", ["asam", "samson"])
def test_magnitudes_are_moduli(name):
    seen = []
    d = 2 * (Z - C)
    link = getattr(jaxopt_lab, name)(0.7, eta=0.1)
    link.update(d, link.init(Z), Z, grad_fn=lambda p: seen.append(p) or p)
    t = np.abs(Z) + 0.1
    if name == "samson":
        t = t / np.abs(Z).max()
    expected = Z + 0.7 * t**2 * d / np.linalg.norm(t * d)
    np.testing.assert_allclose(seen[0], expected, rtol=1e-12)


def test_norms_products_and_sums():
    a, b = Z, C
    np.testing.assert_allclose(trees.dot(a, b), np.real(np.vdot(a, b)), rtol=1e-14)
    np.testing.assert_allclose(trees.dot(a.real, b), np.dot(a.real, b.real))
    np.testing.assert_allclose(trees.global_norm(a), np.linalg.norm(a), rtol=1e-14)
    np.testing.assert_allclose(
        trees.add_update(a, b.astype(np.complex64)), a + b, rtol=1e-6
    )
    assert trees.cast(a, jnp.bfloat16).dtype == np.complex64
    assert trees.cast(a, jnp.float64).dtype == np.complex128
    assert str(trees.wide_dtype(jnp.complex64)) == "complex64"


def test_derivatives_at_zero_are_zero():
    zero = jnp.zeros(2, jnp.complex128)
    grad = jax.grad(lambda z: jnp.sum(magnitude(z)))(zero)
    moved = jax.grad(lambda z: jnp.sum(jnp.real(perturb(zero, z, 0.1, True, "all"))))(
        zero
    )
    chex.assert_trees_all_equal((grad, moved), (zero, zero))


def test_a_complex_loss_and_bsam_are_refused_in_one_line():
    with pytest.raises(InputError, match="bsam takes real parameters; got complex128"):
        jaxopt_lab.bsam(0.1, num_data=2).init(Z)
    with pytest.raises(InputError, match="real scalar.*complex128"):
        jaxopt_lab.batch_grad(lambda z, x: jnp.sum(z) * x[0], BATCH)(Z)
