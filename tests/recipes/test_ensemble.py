"""Ensembles against formulas in NumPy, and their costs against single steps."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxopt_lab
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.functional import Functional
from jaxopt_lab.losses.ensembles import ensemble_diversity
from jaxopt_lab.recipes import init_ensemble, make_ensemble_step, of_members
from jaxopt_lab.recipes.ensemble import mean_logits
from jaxopt_lab.training import init_state, make_train_step

RNG = np.random.default_rng(0)
PARAMS = RNG.normal(size=(3, 4, 5))
BATCH = {"image": RNG.normal(size=(6, 4)), "label": RNG.integers(0, 5, 6)}
KEY = jax.random.key(0)


def apply(params, state, x, *, train, key=None):
    return x @ params, state


MODEL = Functional(lambda key: (jax.random.normal(key, (4, 5)), {}), apply)


def objective(params, diversity, kind):
    """M times the objective, in plain words."""
    z = jnp.einsum("bi,mic->mbc", BATCH["image"], params)
    p = jax.nn.softmax(z)
    mean = jnp.mean(p, axis=0)
    rows = jnp.arange(6)
    each = -jnp.log(p[:, rows, BATCH["label"]])
    entropy = lambda q: -jnp.sum(q * jnp.log(q), axis=-1)
    apart = {
        "jensen": jnp.mean(each, 0) + jnp.log(mean[rows, BATCH["label"]]),
        "variance": jnp.sum(jnp.var(p, axis=0), -1),
        "js": entropy(mean) - jnp.mean(entropy(p), 0),
        "kl": jnp.mean(jnp.sum(mean[None] * jnp.log(mean[None] / p), -1), 0),
    }[kind]
    return 3 * (jnp.mean(each) - diversity * jnp.mean(apart))


@pytest.mark.parametrize("kind", ["jensen", "variance", "js", "kl"])
def test_the_step_goes_down_the_objective(kind):
    tx = optax.sgd(0.1)

    @jax.jit
    def both(params):
        step = make_ensemble_step(MODEL, tx, diversity=-0.7, kind=kind)
        state, metrics = step(init_ensemble(tx, params, KEY), BATCH)
        value, slope = jax.value_and_grad(objective)(params, -0.7, kind)
        return state.params["members"], metrics, params - 0.1 * slope, value / 3

    found, metrics, wanted, value = both(PARAMS)
    np.testing.assert_allclose(found, wanted, rtol=1e-11, atol=1e-13)
    np.testing.assert_allclose(metrics["loss"], value, rtol=1e-12)


def test_the_jensen_gap_at_1_is_training_on_the_mean():
    tx = optax.adam(0.1, eps=1e-20)

    def mean_loss(params, model_state, batch, key):
        z = mean_logits(jnp.einsum("bi,mic->mbc", batch["image"], params))
        return -jnp.mean(z[jnp.arange(6), batch["label"]]), (model_state, {})

    @jax.jit
    def both(params):
        step = make_ensemble_step(MODEL, tx, diversity=1.0)
        state, metrics = step(init_ensemble(tx, params, KEY), BATCH)
        # Adam forgets the factor M.
        plain = make_train_step(mean_loss, tx)(init_state(tx, params, KEY), BATCH)
        return state.params["members"], metrics, plain[0].params, plain[1]["loss"]

    found, metrics, wanted, loss = both(PARAMS)
    np.testing.assert_allclose(metrics["loss"], loss, rtol=1e-12)
    np.testing.assert_allclose(metrics["ensemble_loss"], loss, rtol=1e-12)
    np.testing.assert_allclose(found, wanted, rtol=1e-10)
    model = of_members(MODEL).apply(PARAMS, {}, BATCH["image"], train=False)[0]
    p = jax.nn.softmax(jnp.einsum("bi,mic->mbc", BATCH["image"], PARAMS))
    np.testing.assert_allclose(jnp.exp(model), p.mean(0), rtol=1e-12)


def test_without_diversity_each_is_trained_as_alone_with_sam():
    tx = optax.chain(jaxopt_lab.sam(0.1), optax.sgd(0.2, momentum=0.9))

    def loss_fn(params, model_state, batch, key):
        z = jax.nn.log_softmax(batch["image"] @ params)
        return -jnp.mean(z[jnp.arange(6), batch["label"]]), (model_state, {})

    @jax.jit
    def both(params):
        state, _ = make_ensemble_step(MODEL, tx)(init_ensemble(tx, params, KEY), BATCH)
        one = lambda p: make_train_step(loss_fn, tx)(init_state(tx, p, KEY), BATCH)
        alone = [one(p)[0].params for p in params]
        return state.params["members"], jnp.stack(alone)

    np.testing.assert_allclose(*both(PARAMS), rtol=1e-12)


def test_diversity_is_0_for_equal_members_and_keeps_its_bounds():
    labels = BATCH["label"]
    z = jnp.asarray(RNG.normal(size=(3, 6, 5)) * 50)
    kinds = ("jensen", "variance", "js", "kl")

    @jax.jit
    def all_of(z):
        value = lambda z, k: ensemble_diversity(z.swapaxes(0, 1), labels, kind=k)
        slope = lambda k: jax.grad(lambda z: jnp.sum(value(z, k)))(1e4 * z)
        equal = jnp.broadcast_to(z[:1], z.shape)
        return [
            (value(z, k), value(equal, k), value(z[::-1], k), slope(k)) for k in kinds
        ]

    for found, equal, turned, slope in all_of(z):
        assert found.min() >= -1e-12 and np.isfinite(slope).all()
        np.testing.assert_allclose(equal, 0, atol=1e-13)
        np.testing.assert_allclose(turned, found, atol=1e-12)


def flops(function, *args):
    cost = jax.jit(function).lower(*args).compile().cost_analysis()
    return cost["flops"]


def test_members_cost_as_many_single_steps():
    tx = optax.adam(0.1)
    wide = {"w": jnp.zeros((64, 128)), "v": jnp.zeros((128, 10))}

    def deep(params, state, x, *, train, key=None):
        return jax.nn.relu(x @ params["w"]) @ params["v"], state

    model = Functional(lambda key: (wide, {}), deep)
    batch = {"image": jnp.zeros((32, 64)), "label": jnp.zeros(32, jnp.int32)}

    def single(state, batch):
        def loss_fn(params, model_state, batch, key):
            logits, _ = deep(params, {}, batch["image"], train=True)
            loss = optax.softmax_cross_entropy_with_integer_labels
            return jnp.mean(loss(logits, batch["label"])), (model_state, {})

        return make_train_step(loss_fn, tx)(state, batch)

    alone = flops(single, init_state(tx, wide, KEY), batch)
    stacked = jax.tree.map(lambda x: jnp.stack([x] * 4), wide)
    step = make_ensemble_step(model, tx, diversity=0.5)
    together = flops(step, init_ensemble(tx, stacked, KEY), batch)
    assert together <= 1.1 * 4 * alone, (together, alone)


def call(params, batch):
    step = make_ensemble_step(MODEL, optax.sgd(0.1))
    return functools.partial(
        lambda: jax.eval_shape(step, init_ensemble(optax.sgd(0.1), params, KEY), batch)
    )


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda: make_ensemble_step(MODEL, optax.sgd(0.1), kind="x"), "kind"),  # type: ignore
        (
            call({"a": PARAMS, "b": PARAMS[:2]}, BATCH),
            r"axes \[\(2,\), \(3,\)\]",
        ),
        (call(PARAMS, {"image": BATCH["image"]}), "the batch has no 'label'"),
        (
            lambda: make_ensemble_step(MODEL, optax.sgd(0.1))(
                init_state(optax.sgd(0.1), PARAMS, KEY), BATCH
            ),
            "the one role 'members', as init_ensemble",
        ),
    ],
)
def test_bad_input(make, words):
    with pytest.raises(InputError, match=words):
        make()
