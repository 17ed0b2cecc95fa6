"""Natural transformations: their bounds, closed forms, and the step against a loop."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.functional import Functional
from jaxopt_lab.recipes import init_natra, make_natra_step
from jaxopt_lab.recipes.latent_moves import (
    ascend,
    natural_transformation,
    principal_directions,
)
from jaxopt_lab.recipes.natra import with_directions
from jaxopt_lab.training import init_state

RNG = np.random.default_rng(0)
W = RNG.normal(size=(6, 3))
BATCH = {"image": RNG.normal(size=(8, 6)), "label": RNG.integers(0, 3, 8)}
U = np.linalg.qr(RNG.normal(size=(6, 2)))[0]
KEY, TX = jax.random.key(0), optax.sgd(0.1)


def apply(params, state, x, *, train, key=None):
    return x @ params, state


MODEL = Functional(lambda key: (jnp.zeros((6, 3)), {}), apply)


def mean_loss(w, x):
    log_p = jax.nn.log_softmax(x @ w)
    return -jnp.mean(log_p[jnp.arange(8), BATCH["label"]])


def test_one_step_on_a_linear_loss_is_the_maximiser():
    g, decoder = RNG.normal(size=(5, 7)), RNG.normal(size=(6, 7))

    @jax.jit
    def found(g):
        x = jnp.zeros((5, 7))
        move = lambda a: natural_transformation(
            x, lambda z: z @ decoder, jnp.ones((5, 6)), U, a
        )
        losses = lambda a: jnp.sum(g * move(a), axis=-1)
        start = jnp.zeros((5, 2))
        one = ascend(losses, start, radius=0.7, steps=1)
        return one, ascend(losses, start, radius=0.7, steps=4, step_size=0.6)

    slope = g @ decoder.T @ U
    wanted = 0.7 * slope / np.linalg.norm(slope, axis=-1, keepdims=True)
    for a in found(g):
        np.testing.assert_allclose(a, wanted, rtol=1e-12)
    still, tiny = found(np.zeros((5, 7)))[0], found(1e-200 * g)[0]
    assert not np.asarray(still).any()
    np.testing.assert_allclose(tiny, wanted, rtol=1e-12)


def test_lengths_stay_in_the_ball_and_a_convex_loss_rises():
    target = RNG.normal(size=(5, 2))
    losses = lambda a: jnp.sum((a - target) ** 2, axis=-1)

    @jax.jit
    def path(start):
        a = [start]
        for _ in range(6):
            a.append(ascend(losses, a[-1], radius=0.5, steps=1, step_size=0.3))
        return jnp.stack(a), jnp.stack([losses(x) for x in a])

    a, values = path(jnp.zeros((5, 2)))
    assert np.linalg.norm(a, axis=-1).max() <= 0.5 * (1 + 1e-6)
    assert (np.diff(values, axis=0) >= -1e-12).all()


def test_no_move_is_the_image_and_a_move_is_in_the_span():
    x, a = RNG.normal(size=(8, 6)), RNG.normal(size=(8, 2))
    decode = lambda z: jnp.tanh(z) * 3
    same = natural_transformation(x, decode, 2 * x, U, np.zeros((8, 2)))
    np.testing.assert_array_equal(same, x)
    moved = natural_transformation(x, lambda z: z, x, U, a) - x
    np.testing.assert_allclose(moved @ U @ U.T, moved, atol=1e-12)
    lengths = [np.linalg.norm(v, axis=-1) for v in (moved, a)]
    np.testing.assert_allclose(*lengths, rtol=1e-12)
    found = principal_directions(jnp.asarray(x), 2)
    rows = np.linalg.svd(x - x.mean(0))[2][:2]
    np.testing.assert_allclose(np.abs(rows @ found), np.eye(2), atol=1e-12)


def test_the_step_is_the_formula():
    @jax.jit
    def both(w):
        x = BATCH["image"]
        g = jax.grad(lambda a: 8 * mean_loss(w, x + a @ U.T))(jnp.zeros((8, 2)))
        a = 0.4 * g / jnp.linalg.norm(g, axis=-1, keepdims=True)
        total = lambda w: 0.7 * mean_loss(w, x) + 0.3 * mean_loss(w, x + a @ U.T)
        value, slope = jax.value_and_grad(total)(w)
        options = {"weight": 0.3, "radius": 0.4, "steps": 1}
        state = init_natra(TX, w, KEY, jnp.asarray(U))
        found = make_natra_step(MODEL, TX, **options)(state, BATCH)
        parts = make_natra_step(MODEL, TX, **options, micro_batches=2)(state, BATCH)
        through = make_natra_step(
            MODEL, TX, **options, encode=lambda x: 2 * x, decode=lambda z: z
        )(state, BATCH)
        none = make_natra_step(MODEL, TX, weight=0.9, radius=0.0)(state, BATCH)
        plain = w - 0.1 * jax.grad(mean_loss)(w, x)
        told = [s.params["model"] for s, _ in (found, parts, through, none)]
        return told, found[1], w - 0.1 * slope, value, plain

    told, metrics, wanted, value, plain = both(W)
    for found in told[:3]:
        np.testing.assert_allclose(found, wanted, rtol=1e-11)
    np.testing.assert_allclose(told[3], plain, rtol=1e-11)
    np.testing.assert_allclose(metrics["loss"], value, rtol=1e-12)
    np.testing.assert_allclose(metrics["length"], 0.4, rtol=1e-12)


def call(directions=U, **options):
    def run():
        step = make_natra_step(MODEL, TX, **options)
        start = lambda w: init_natra(TX, w, KEY, jnp.asarray(directions))
        jax.eval_shape(lambda w: step(start(w), BATCH), W)

    return run


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda: make_natra_step(MODEL, TX, weight=1.5), "weight must"),
        (lambda: make_natra_step(MODEL, TX, decode=jnp.sin), "encode is missing"),
        (call(U[:5]), r"directions have shape \(5, 2\); accepted: \(D, r\)"),
        (call(label="class"), "the batch has no 'class'"),
        (
            lambda: with_directions({}, {"image": jnp.ones((3, 6))}),
            "4 directions cannot",
        ),
        (
            lambda: make_natra_step(MODEL, TX)(init_state(TX, W, KEY), BATCH),
            "must have 'model', as init_natra makes it",
        ),
    ],
)
def test_bad_input(make, words):
    with pytest.raises(InputError, match=words):
        make()
