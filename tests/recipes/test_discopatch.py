"""DisCoPatch: the step by its formulas, patches, and scores of images."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.functional import Functional
from jaxopt_lab.data import load_digits
from jaxopt_lab.layers import ghost_batch_norm
from jaxopt_lab.recipes import (
    VaeOutputs,
    init_discopatch,
    make_discopatch_step,
    patch_score,
    random_patches,
)
from jaxopt_lab.recipes.gan_terms import draw_noise
from jaxopt_lab.recipes.patches import gaussian_kl
from jaxopt_lab.training import init_state

RNG = np.random.default_rng(0)
W, V, D = RNG.normal(size=(4, 2)), RNG.normal(size=(4, 2)), RNG.normal(size=(4, 1))
X, KEY, TX = RNG.normal(size=(6, 4)), jax.random.key(0), optax.sgd(0.1)


def encode(params, state, given, *, train, key=None):
    x, noise, prior = given
    mean, log_variance = x @ params["w"], x @ params["v"]
    z = mean + jnp.exp(log_variance / 2) * noise
    back = params["w"].T
    return VaeOutputs(z @ back, prior @ back, mean, log_variance), state


def judge(params, state, x, *, train, key=None):
    return x @ params, state


VAE, JUDGE = (Functional(lambda key: ({}, {}), f) for f in (encode, judge))


def start():
    vae = {"w": jnp.asarray(W), "v": jnp.asarray(V)}
    return init_discopatch(TX, vae, jnp.asarray(D), KEY)


def test_the_step_is_the_formulas():
    given: Any = {"kl": 0.3, "fool_rebuilt": 0.2, "fool_generated": 0.1}

    @jax.jit
    def both(w, v, d):
        state = init_discopatch(TX, {"w": w, "v": v}, d, KEY)
        found = make_discopatch_step(VAE, JUDGE, TX, latent=2, **given)(
            state, {"image": X}
        )
        keys = jax.random.split(KEY, 4)
        noise, prior = (draw_noise(k, 6, 2, jnp.float64) for k in keys[1:3])
        log = lambda x, d: jax.nn.log_sigmoid(x @ d)

        def of_vae(p):
            mean, lv = X @ p["w"], X @ p["v"]
            rebuilt = (mean + jnp.exp(lv / 2) * noise) @ p["w"].T
            kl = jnp.mean(jnp.sum(mean**2 + jnp.exp(lv) - 1 - lv, axis=1)) / 2
            fooled = 0.2 * log(rebuilt, d) + 0.1 * log(prior @ p["w"].T, d)
            value = jnp.mean((X - rebuilt) ** 2) + 0.3 * kl - jnp.mean(fooled)
            return value, (rebuilt, prior @ p["w"].T)

        def of_judge(d, fakes):
            rebuilt, made = fakes
            others = (log(-rebuilt, d) + log(-made, d)) / 2
            return -jnp.mean(log(X, d) + others) / 2

        (value, fakes), slope = jax.value_and_grad(of_vae, has_aux=True)(
            {"w": w, "v": v}
        )
        loss, turn = jax.value_and_grad(of_judge)(d, fakes)
        wanted = jax.tree.map(lambda p, g: p - 0.1 * g, {"w": w, "v": v}, slope)
        return found, (wanted, d - 0.1 * turn, value, loss)

    (state, metrics), (vae, rival, value, loss) = both(W, V, D)
    for name, values in vae.items():
        np.testing.assert_allclose(state.params["vae"][name], values, rtol=1e-11)
    np.testing.assert_allclose(state.params["discriminator"], rival, rtol=1e-11)
    np.testing.assert_allclose(metrics["loss"], value, rtol=1e-12)
    np.testing.assert_allclose(metrics["discriminator_loss"], loss, rtol=1e-12)
    assert int(state.step) == 1


def test_a_discriminator_that_says_one_half_has_the_loss_of_a_coin():
    step = make_discopatch_step(VAE, JUDGE, TX, latent=2)
    state = init_discopatch(TX, {"w": W, "v": V}, np.zeros((4, 1)), KEY)
    _, metrics = jax.jit(lambda: step(state, {"image": X}))()
    np.testing.assert_allclose(metrics["discriminator_loss"], np.log(2), rtol=1e-12)


def test_patches_are_parts_of_their_images():
    images = RNG.normal(size=(3, 5, 4, 2))
    draw = functools.partial(random_patches, patches=6, size=3)
    found = np.asarray(jax.jit(draw)(KEY, images)).reshape(3, 6, 3, 3, 2)
    windows = np.lib.stride_tricks.sliding_window_view(images, (3, 3), axis=(1, 2))
    every = np.moveaxis(windows, 3, -1).reshape(3, 6, 3, 3, 2)
    places = set()
    for image, parts in zip(every, found, strict=True):
        for part in parts:
            same = np.flatnonzero((image == part).all(axis=(1, 2, 3)))
            assert same.size == 1
            places.add(int(same[0]))
    assert len(places) > 3


def test_the_score_knows_no_order_no_other_images_and_no_affine_change():
    norm = ghost_batch_norm(2, ghost_size=4, eps=1e-12)
    params, state = norm.init(KEY)
    weights = RNG.normal(size=2)

    @jax.jit
    def score(x):
        y, _ = norm.apply(params, state, x, train=True)
        return patch_score(jnp.mean(jnp.tanh(y), axis=(1, 2)) @ weights, per_image=4)

    x = RNG.normal(size=(12, 3, 3, 2))
    plain = score(x)
    turned = x.reshape(3, 4, 3, 3, 2)[:, ::-1].reshape(x.shape)
    np.testing.assert_allclose(score(turned), plain, rtol=1e-9)
    other = np.concatenate([x[:4], 3 * x[4:8] + 1, x[8:] ** 3])
    changed = score(other)
    np.testing.assert_allclose(changed[:2], plain[:2], rtol=1e-8)
    assert abs(changed[2] - plain[2]) > 1e-4
    certain = patch_score(jnp.full(2, 800.0), per_image=2)
    assert float(certain[0]) == 0.0 and np.isfinite(certain[0])


def dense(layers, x):
    return jax.nn.leaky_relu(x @ layers[0]) @ layers[1]


def rebuilt(params, state, given, *, train, key=None):
    x, noise, prior = given
    mean, log_variance = jnp.split(dense(params[0], x.reshape(len(x), -1)), 2, axis=-1)
    decoded = lambda z: dense(params[1], z).reshape(x.shape)
    z = mean + jnp.exp(log_variance / 2) * noise
    return VaeOutputs(decoded(z), decoded(prior), mean, log_variance), state


def normed(ghost_size):
    norm = ghost_batch_norm(32, ghost_size=ghost_size)

    def apply(params, state, x, *, train, key=None):
        layers, own = params
        h, state = norm.apply(own, state, x.reshape(len(x), -1) @ layers[0], train=True)
        return jax.nn.leaky_relu(h) @ layers[1], state

    return Functional(norm.init, apply)


def auroc(inside, outside):
    apart = np.asarray(outside)[:, None] - np.asarray(inside)[None]
    return np.mean(apart > 0) + np.mean(apart == 0) / 2


@pytest.mark.full
def test_planted_images_out_of_distribution_score_higher():
    patches, size, latent, batch = 16, 4, 4, 16
    data = load_digits()
    train, test = (
        jnp.asarray(part["image"], jnp.float32).reshape(-1, 8, 8, 1) * 2 - 1
        for part in (data.train, data.test)
    )
    inside, rest = test[:180], test[180:]
    pixels = rest.reshape(-1, 64)
    shuffle = functools.partial(jax.random.permutation, axis=1, independent=True)
    means = jnp.pad(rest, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="edge")
    means = [means[:, i : i + 8, j : j + 8] for i in range(3) for j in range(3)]
    planted = {
        "none": rest,
        "contrast": 0.3 * rest,
        "blur": sum(means[1:], means[0]) / 9,
        "noise": rest + 0.5 * jax.random.normal(KEY, rest.shape, jnp.float32),
        "shuffled": shuffle(KEY, pixels).reshape(rest.shape),
    }
    draw = functools.partial(random_patches, patches=patches, size=size)
    kernel = lambda i, *shape: (
        (2 / shape[0]) ** 0.5
        * jax.random.normal(jax.random.fold_in(KEY, i), shape, jnp.float32)
    )
    tx = optax.adam(2e-3)
    judge, of_image = normed(batch * patches), normed(patches)
    step = make_discopatch_step(
        Functional(judge.init, rebuilt), judge, tx, latent=latent
    )

    def update(state, key):
        some = jax.random.randint(key, (batch,), 0, len(train), jnp.int32)
        return step(state, {"image": draw(key, train[some])})[0], None

    @jax.jit
    def run(images):
        vae = (
            [kernel(0, 16, 32), kernel(1, 32, 8)],
            [kernel(2, 4, 32), kernel(3, 32, 16)],
        )
        own, statistics = judge.init()
        params = [kernel(4, 16, 32), kernel(5, 32, 1)], own
        start = init_discopatch(tx, vae, params, KEY, discriminator_state=statistics)
        state, _ = jax.lax.scan(update, start, jax.random.split(KEY, 600))
        params, kept = (t["discriminator"] for t in (state.params, state.model_state))

        def score(x):
            scores, _ = of_image.apply(params, kept, draw(KEY, x), train=False)
            return patch_score(scores[:, 0], per_image=patches)

        return jax.tree.map(score, images)

    scores = run({"inside": inside, **planted})
    found = {name: auroc(scores["inside"], scores[name]) for name in planted}
    assert 0.4 < found["none"] < 0.6
    # The statistics of an image take its contrast out.
    np.testing.assert_allclose(found["contrast"], found["none"], atol=0.02)
    assert min(found[name] for name in ("blur", "noise", "shuffled")) > 0.65


def test_the_divergence_is_that_of_normal_numbers():
    mean, log_variance = 0.7, -0.4
    grid = np.linspace(-12, 12, 200_001)
    log_q = -((grid - mean) ** 2) / (2 * np.exp(log_variance)) - log_variance / 2
    q = np.exp(log_q) / np.sqrt(2 * np.pi)
    wanted = np.sum(q * (log_q + grid**2 / 2)) * (grid[1] - grid[0])
    found = gaussian_kl(jnp.full((3, 2), mean), jnp.full((3, 2), log_variance))
    np.testing.assert_allclose(found, 2 * wanted, rtol=1e-9)


def wrong_vae(params, state, given, *, train, key=None):
    return given[0], state


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda: make_discopatch_step(VAE, JUDGE, TX, latent=2, kl=-1.0), "kl must"),
        (
            lambda: make_discopatch_step(VAE, JUDGE, TX, latent=2, weights=1),
            "no weights",
        ),
        (
            lambda: make_discopatch_step(VAE, JUDGE, TX, latent=2)(
                init_state(TX, W, KEY), {"image": X}
            ),
            "'vae' and 'discriminator', as init_discopatch makes it",
        ),
        (
            lambda: jax.eval_shape(
                make_discopatch_step(
                    Functional(VAE.init, wrong_vae), JUDGE, TX, latent=2
                ),
                start(),
                {"image": X},
            ),
            "the vae must give VaeOutputs; got",
        ),
        (
            lambda: random_patches(KEY, jnp.asarray(X), patches=1, size=2),
            "images .N, H, W, C.",
        ),
        (
            lambda: random_patches(KEY, jnp.asarray(X), patches=0, size=2),
            "patches must",
        ),
        (lambda: patch_score(jnp.zeros(5), per_image=2), "5 patches cannot"),
    ],
)
def test_bad_input(make, words):
    with pytest.raises(InputError, match=words):
        make()
