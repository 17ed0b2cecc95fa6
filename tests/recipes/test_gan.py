"""GAN steps: objectives in plain words, their exact limits, dropped feedback."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.functional import Functional
from jaxopt_lab.recipes import init_gan, make_gan_step
from jaxopt_lab.recipes.gan import draw_noise
from jaxopt_lab.recipes.gan_terms import kept_feedback
from jaxopt_lab.training import init_state

RNG = np.random.default_rng(0)
BATCH = {"image": RNG.normal(size=(6, 3))}
MAKER = {"w": RNG.normal(size=(2, 3)), "b": RNG.normal(size=3)}
JUDGES = RNG.normal(size=(3, 3))
KEY = jax.random.key(0)
RATE, RIVAL_RATE = 0.1, 0.3
TX, RIVAL_TX = optax.sgd(RATE), optax.sgd(RIVAL_RATE)


def make(params, state, z, *, train, key=None):
    return jnp.tanh(z @ params["w"] + params["b"][None]), state


def judge(params, state, x, *, train, key=None):
    seen = {"calls": state["calls"] + train} if state else state
    return (x @ params) ** 3, seen


GENERATOR = Functional(lambda key: (MAKER, {}), make)
DISCRIMINATOR = Functional(lambda key: (JUDGES[0], {}), judge)


def begin(maker, judges, **more):
    return init_gan(TX, maker, judges, KEY, discriminator_tx=RIVAL_TX, **more)


def stepped(maker, judges, batch=BATCH, start=None, **options):
    step = make_gan_step(
        GENERATOR, DISCRIMINATOR, TX, latent=2, discriminator_tx=RIVAL_TX, **options
    )
    return step(begin(maker, judges, **(start or {})), batch)


def noise():
    return draw_noise(jax.random.split(KEY, 4)[1], 6, 2, jnp.float64)


def log_p(s):
    return -jnp.log1p(jnp.exp(-s))


def log_not_p(s):
    return -jnp.log1p(jnp.exp(s))


LOSSES = {
    "non_saturating": (lambda s: -log_p(s), lambda s: -log_not_p(s)),
    "saturating": (log_not_p, log_p),
    "least_squares": (lambda s: (s - 1) ** 2 / 2, lambda s: s**2 / 2),
}


def in_words(maker, judges, loss, slices, alpha, kept):
    """The update of each discriminator alone, then that of the generator."""
    real, z = jnp.asarray(BATCH["image"]), noise()
    fake = make(maker, {}, z, train=True)[0]
    # Those of the discriminator are those of the generator that does not saturate.
    up, down = LOSSES["non_saturating" if loss == "saturating" else loss]
    fool, reveal = LOSSES[loss]
    outside = lambda k: np.array([i for i in range(6) if i not in slices[k]], int)
    after = []
    for k, d in enumerate(judges):

        def value(d, k=k):
            score = lambda x: (x @ d) ** 3
            total = jnp.mean(up(score(real[slices[k]])))
            total = total + jnp.mean(down(score(fake[slices[k]])))
            if alpha:
                total = total + alpha * jnp.mean(up(score(fake[outside(k)])))
            return total

        after.append(d - RIVAL_RATE * jax.grad(value)(d))

    def of_generator(maker):
        fake = make(maker, {}, z, train=True)[0]
        total = 0.0
        for k, d in enumerate(after):
            score = lambda x, d=d: (x @ d) ** 3
            value = jnp.mean(fool(score(fake[slices[k]])))
            if alpha:
                value = value + alpha * jnp.mean(reveal(score(fake[outside(k)])))
            total = total + kept[k] * value
        return total

    value, slope = jax.value_and_grad(of_generator)(maker)
    moved = jax.tree.map(lambda p, g: p - RATE * g, maker, slope)
    return moved, jnp.stack(after), value


WHOLE = [np.arange(6)] * 3
THIRDS = list(np.arange(6).reshape(3, 2))
SETTINGS = {
    "all": ({}, WHOLE, 0.0),
    "slices": ({"split": True}, THIRDS, 0.0),
    "diverse": ({"split": True, "diversity": 0.7}, THIRDS, 0.7),
    "micro": ({"split": True, "diversity": 0.7, "micro_batches": 2}, THIRDS, 0.7),
    "saturating": (
        {"split": True, "diversity": 0.7, "loss": "saturating"},
        THIRDS,
        0.7,
    ),
    "least_squares": ({"loss": "least_squares"}, WHOLE, 0.0),
}


@pytest.mark.full(plain=["all", "diverse"])
@pytest.mark.parametrize("name", SETTINGS)
def test_each_goes_down_its_objective(name):
    options, slices, alpha = SETTINGS[name]

    @jax.jit
    def both(maker, judges):
        loss = options.get("loss", "non_saturating")
        wanted = in_words(maker, judges, loss, slices, alpha, np.ones(3))
        return stepped(maker, judges, **options), wanted

    (state, metrics), (maker, judges, value) = both(MAKER, JUDGES)
    for found, wanted in zip(
        jax.tree.leaves(state.params),
        jax.tree.leaves({"discriminators": judges, "generator": maker}),
        strict=True,
    ):
        np.testing.assert_allclose(found, wanted, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(metrics["loss"], value, rtol=1e-10)
    assert int(state.step) == 1 and float(metrics["kept"]) == 1


def test_one_discriminator_is_the_plain_gan_to_the_last_bit():
    @jax.jit
    def run(maker, judges):
        options = [
            {},
            {"drop": 0.6},
            {"drop": 1.0, "reduce": "mean"},
            {"split": True},
            {"split": True, "diversity": 0.5},
        ]
        return [stepped(maker, judges[:1], **o)[0].params for o in options]

    plain, *others = run(MAKER, JUDGES)
    for other in others:
        jax.tree.map(np.testing.assert_array_equal, plain, other)


@pytest.mark.full
def test_dropped_feedback_trains_all_discriminators_and_is_heard_from_the_kept():
    drop_key = jax.random.split(KEY, 4)[2]

    @jax.jit
    def run(maker, judges):
        kept = kept_feedback(drop_key, 3, 0.5, jnp.float64)
        wanted = in_words(maker, judges, "non_saturating", WHOLE, 0.0, kept)
        many = jax.random.split(KEY, 4000)
        draw = lambda drop: jax.vmap(lambda k: kept_feedback(k, 3, drop, jnp.float64))
        return (
            stepped(maker, judges, drop=0.5),
            wanted,
            kept,
            [draw(drop)(many) for drop in (0.0, 0.5, 1.0)],
        )

    (state, metrics), wanted, kept, draws = run(MAKER, JUDGES)
    np.testing.assert_allclose(state.params["discriminators"], wanted[1], rtol=1e-10)
    np.testing.assert_allclose(metrics["loss"], wanted[2], rtol=1e-10)
    np.testing.assert_allclose(metrics["kept"], np.mean(kept), rtol=1e-15)
    none, half, all_of_them = map(np.asarray, draws)
    assert none.all() and (all_of_them.sum(axis=1) == 1).all()
    assert (half.sum(axis=1) >= 1).all()
    # Half of them, and a third of the draws that would have kept none.
    np.testing.assert_allclose(half.mean(axis=0), 0.5 + 1 / 24, atol=0.03)
    np.testing.assert_allclose(all_of_them.mean(axis=0), 1 / 3, atol=0.03)


def test_a_learned_weight_moves_with_the_generator_alone_and_grows():
    options = {"split": True, "diversity_form": "sigmoid"}

    @jax.jit
    def run(maker, judges):
        start = {"diversity": -1.0}
        learned = stepped(maker, judges, start=start, **options)
        weight = jax.nn.sigmoid(-1.0)
        return learned, stepped(maker, judges, split=True, diversity=weight)

    (state, metrics), (fixed, told) = run(MAKER, JUDGES)
    own = state.params["generator"]
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-12),
        (own["network"], state.params["discriminators"], metrics["loss"]),
        (fixed.params["generator"], fixed.params["discriminators"], told["loss"]),
    )
    assert float(own["diversity"]) > -1
    np.testing.assert_allclose(metrics["diversity_weight"], 1 / (1 + np.e))


def test_several_seeds_are_one_program_and_a_state_goes_along():
    judges = jnp.stack([JUDGES, 2 * JUDGES])
    state = {"discriminator_state": {"calls": jnp.zeros(3)}}

    @jax.jit
    def run(maker, judges):
        one = lambda j: stepped(maker, j, drop=0.5, start=state)[0]
        return jax.vmap(one)(judges), [one(j) for j in judges]

    together, alone = run(MAKER, judges)
    for i, one in enumerate(alone):
        for name, tree in one.params.items():
            jax.tree.map(
                lambda a, b, i=i: np.testing.assert_allclose(a[i], b, rtol=1e-12),
                together.params[name],
                tree,
            )
        np.testing.assert_array_equal(
            together.model_state["discriminators"]["calls"][i], 2
        )


def test_huge_logits_are_finite():
    @jax.jit
    def run(maker, judges):
        found = [
            stepped(maker, 1e3 * judges, split=True, diversity=1.0, loss=loss)
            for loss in ("non_saturating", "saturating")
        ]
        return [(s.params, m) for s, m in found]

    assert all(np.isfinite(x).all() for x in jax.tree.leaves(run(MAKER, JUDGES)))


def call(batch=BATCH, judges=JUDGES, state=None, discriminator=DISCRIMINATOR, **more):
    def run():
        options = {"latent": 2, **more}
        start = options.pop("start", None) or {}
        step = make_gan_step(GENERATOR, discriminator, TX, **options)
        begin = lambda: init_gan(TX, MAKER, judges, KEY, **start)
        jax.eval_shape(lambda: step(state or begin(), batch))

    return run


FLAT = Functional(lambda key: (0, {}), lambda p, s, x, **_: (x, s))


@pytest.mark.parametrize(
    "run, words",
    [
        (call(latent=0), "latent must be a whole number of at least 1"),
        (call(drop=1.5), "drop must lie in"),
        (call(loss="hinge"), "unknown loss 'hinge'; accepted"),
        (call(diversity_form="cosine", split=True), "unknown diversity_form 'cosine'"),
        (call(diversity_form="tanh", diversity=1.0, split=True), "must be 0; got 1.0"),
        (call(diversity=0.5), "it takes split=True"),
        (call(weights="mask"), "takes no weights"),
        (call(diversity_form="tanh", split=True), "init_gan takes diversity="),
        (call(inputs="x"), "the batch has no 'x'"),
        (
            call({"image": BATCH["image"][:5]}, split=True),
            "5 examples cannot be divided among 3 discriminators",
        ),
        (call({"image": BATCH["image"][:, :2]}), r"gives \(6, 3\) beside real"),
        (call(discriminator=FLAT), r"a discriminator gives \(6, 3\) for 6 examples"),
        (call(judges={"a": JUDGES, "b": JUDGES[:2]}), r"axes \[\(2,\), \(3,\)\]"),
        (call(state=init_state(TX, MAKER, KEY)), "as init_gan makes it"),
    ],
)
def test_bad_input(run, words):
    with pytest.raises(InputError, match=words) as told:
        run()
    assert "\n" not in str(told.value)
