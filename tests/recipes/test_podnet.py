"""PODNet and the Ghost Model: their losses in NumPy, their limits, their pieces."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.functional import Functional
from jaxopt_lab.losses import mmd
from jaxopt_lab.recipes import (
    Ghosts,
    PodOutputs,
    empty_memory,
    fit_separator,
    fixed_memory,
    ghost_generator_loss,
    init_ghost,
    init_podnet,
    make_ghost_step,
    make_podnet_step,
)
from jaxopt_lab.training import init_state, make_train_step

RNG = np.random.default_rng(0)
WEIGHTS, OLD = RNG.normal(size=(2, 4, 3))
BATCH = {"image": RNG.normal(size=(5, 4)), "label": np.array([0, 1, 2, 2, 0])}
GHOSTS = Ghosts(RNG.normal(size=(2, 1, 3)), RNG.normal(size=(2, 3)), RNG.normal(size=2))
NONE = Ghosts(jnp.zeros((0, 1, 3)), jnp.zeros((0, 3)), jnp.zeros(0))
TX, KEY = optax.sgd(0.1), jax.random.key(0)


def apply(params, state, x, *, train, key=None):
    h = x @ params
    return PodOutputs(h, 2 * h, [h.reshape(-1, 1, 3, 1)], scale=1.5), state


NETWORK = Functional(lambda key: (jnp.zeros((4, 3)), {}), apply)


def unit(x):
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def nca(logits):
    x = 1.5 * logits
    own = x[np.arange(5), BATCH["label"]]
    others = np.exp(x).sum(1) - np.exp(own)
    return np.maximum(0, np.log(others) - own + 1.5 * 0.6)


def parts():
    """Losses of the classifier, of maps and of features, the ghosts' included."""
    h, g = BATCH["image"] @ WEIGHTS, BATCH["image"] @ OLD
    # One row of three columns: sums over the height are the squares, over the width one
    # number.
    pooled = lambda x: unit(np.concatenate([(x**2).sum(1, keepdims=True), x**2], 1))
    maps = np.linalg.norm(pooled(h) - pooled(g), axis=1)
    flat = 1 - np.sum(unit(h) * unit(g), axis=1)
    further = 2 * unit(h) @ unit(GHOSTS.proxies[:, 0]).T - 2
    sides = np.maximum(0, unit(h) @ GHOSTS.normals.T + GHOSTS.offsets).mean(1)
    return nca(h), maps, flat, nca(np.concatenate([h, further], 1)), sides


def test_losses_are_those_of_the_formulas():
    memory = empty_memory(BATCH, 2)
    state = init_podnet(TX, jnp.asarray(WEIGHTS), jnp.asarray(OLD), KEY, memory)
    ghosts = jax.tree.map(jnp.asarray, GHOSTS)
    both = init_ghost(
        TX, state.params["model"], state.params["old"], ghosts, KEY, memory
    )
    own, maps, flat, with_ghosts, sides = (x.mean() for x in parts())
    plain = own + np.sqrt(4) * (3 * maps + flat)

    @jax.jit
    def run(state, both):
        first = make_podnet_step(NETWORK, TX, ratio=4.0)(state, BATCH)[1]
        second = make_ghost_step(NETWORK, TX, latent=0.5, ratio=4.0)(both, BATCH)[1]
        empty = both._replace(params={**both.params, "ghosts": NONE})
        third = make_ghost_step(NETWORK, TX, ratio=4.0)(empty, BATCH)[1]
        return first, second, third

    first, second, third = run(state, both)
    np.testing.assert_allclose(first["loss"], plain, rtol=1e-12)
    np.testing.assert_allclose(third["loss"], plain, rtol=1e-12)
    assert third["latent"] == 0
    wanted = plain - own + with_ghosts + 0.5 * np.sqrt(2) * sides
    np.testing.assert_allclose(second["loss"], wanted, rtol=1e-12)
    for name, value in (("spatial", maps), ("flat", flat), ("latent", sides)):
        np.testing.assert_allclose(second[name], value, rtol=1e-12)


def test_discrepancy_is_that_of_the_pairs():
    x, y = RNG.normal(size=(4, 3)), RNG.normal(size=(6, 3))
    kernel = lambda a, b: sum(
        np.exp(-np.sum((a[:, None] - b[None]) ** 2, -1) / (2 * s))
        for s in (2, 5, 10, 20, 40, 80)
    )
    square = kernel(x, x).mean() + kernel(y, y).mean() - 2 * kernel(x, y).mean()

    @jax.jit
    def found(x, y):
        far = jnp.concatenate([y, jnp.full((1, 3), jnp.nan)])
        kept = jnp.arange(7) < 6
        same = jax.value_and_grad(lambda a: mmd(a, reference=x))(x)
        return mmd(x, reference=y), mmd(x, reference=far, where_reference=kept), same

    whole, masked, (zero, slope) = found(x, y)
    np.testing.assert_allclose(whole, np.sqrt(square + 1e-8), rtol=1e-9)
    np.testing.assert_allclose(masked, whole, rtol=1e-12)
    np.testing.assert_allclose(zero, 1e-4, rtol=1e-6)
    assert np.all(np.isfinite(slope))


def test_separator_is_the_minimum_of_its_objective():
    real, ghosts = RNG.normal(1.0, 1.0, (9, 3)), RNG.normal(-1.0, 1.0, (7, 3))
    w, b = jax.jit(fit_separator)(real, ghosts)
    h = np.concatenate([unit(real), unit(ghosts)])
    t = np.r_[-np.ones(9), np.ones(7)]
    short = np.maximum(0, 1 - t * (h @ np.asarray(w) + float(b)))
    slope = 0.01 * np.asarray(w) - (t * short) @ h / 16
    np.testing.assert_allclose(slope, 0, atol=1e-12)
    np.testing.assert_allclose(0.01 * float(b) - np.sum(t * short) / 16, 0, atol=1e-12)


@pytest.mark.full
def test_a_generator_learns_the_features_of_seen_classes():
    centres = 2.0 * np.eye(3)
    labels = np.arange(60) % 3
    batch = {"feature": centres[labels] + 0.1 * RNG.normal(size=(60, 3))}
    batch["label"] = labels

    def made(params, state, x, *, train, key=None):
        return x @ params, state

    generator = Functional(lambda key: (jnp.zeros((5, 3)), {}), made)
    tx = optax.adam(0.05)
    loss = ghost_generator_loss(generator, jnp.eye(3), noise=2)
    step = jax.jit(make_train_step(loss, tx))
    state = init_state(tx, 0.1 * jnp.ones((5, 3)), KEY)
    state, first = step(state, batch)
    for _ in range(300):
        state, metrics = step(state, batch)
    assert metrics["loss"] < 0.1 * first["loss"]
    np.testing.assert_allclose(state.params[:3], centres, atol=0.3)


def test_bad_input_is_one_line():
    memory = fixed_memory(BATCH)
    state = init_podnet(TX, jnp.asarray(WEIGHTS), jnp.asarray(OLD), KEY, memory)
    other = Functional(NETWORK.init, lambda p, s, x, **_: (x @ p, s))
    for call, words in (
        (lambda: make_podnet_step(NETWORK, TX, flat=-1.0), "flat must"),
        (lambda: make_ghost_step(NETWORK, TX, flat=-1.0), "flat must"),
        (lambda: make_podnet_step(NETWORK, TX, axis_name="d"), "axis_name must"),
        (lambda: make_podnet_step(other, TX)(state, BATCH), "accepted: PodOutputs"),
        (lambda: make_ghost_step(NETWORK, TX)(state, BATCH), "'ghosts'"),
        (lambda: fit_separator(jnp.ones((0, 2)), jnp.ones((1, 2))), "at least one"),
        (lambda: mmd(jnp.ones((1, 2)), reference=jnp.ones(2)), "reference must"),
    ):
        with pytest.raises(InputError, match=words) as raised:
            call()
        assert "\n" not in str(raised.value)
