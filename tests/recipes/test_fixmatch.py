"""FixMatch against a plain objective, its costs, and a loss of another kind."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.functional import Functional
from jaxopt_lab.losses.shrinkmatch import shrinkmatch
from jaxopt_lab.losses.stateful import StatefulLoss
from jaxopt_lab.recipes import init_fixmatch, make_fixmatch_step
from jaxopt_lab.training import init_state, make_train_step

RNG = np.random.default_rng(0)
W = RNG.normal(size=(4, 3))
BATCH = {
    "image": RNG.normal(size=(6, 4)),
    "label": np.array([0, -1, 2, -1, -1, 1]),
    "weak": RNG.normal(size=(6, 2, 4)),
    "strong": RNG.normal(size=(6, 2, 4)),
}
KEY, TX = jax.random.key(0), optax.sgd(0.1)


def apply(params, state, x, *, train, key=None):
    return x @ params, state


MODEL = Functional(lambda key: (jnp.zeros((4, 3)), {}), apply)


def objective(w, batch, weak, threshold=0.6, weight=0.7):
    rows = batch["label"] >= 0
    log_p = jax.nn.log_softmax(batch["image"] @ w)
    first = -jnp.mean(log_p[rows, batch["label"][rows]])
    q = jax.lax.stop_gradient(jax.nn.softmax(weak.reshape(-1, 4) @ w))
    strong = jax.nn.log_softmax(batch["strong"].reshape(-1, 4) @ w)
    own = -strong[jnp.arange(len(q)), jnp.argmax(q, -1)]
    certain = jnp.max(q, -1) >= threshold
    return first + weight * jnp.mean(certain * own), jnp.mean(certain * 1.0)


@pytest.mark.parametrize("views", ["apart", "inputs"])
def test_the_step_goes_down_the_objective(views):
    batch = dict(BATCH)
    if views == "inputs":
        batch = {**batch, "strong": BATCH["strong"][:, 0]}
        del batch["weak"]

    @jax.jit
    def both(w):
        options = {"threshold": 0.6, "weight": 0.7}
        step = make_fixmatch_step(MODEL, TX, **options)
        # Parts with other numbers of labels give the same.
        parts = make_fixmatch_step(MODEL, TX, **options, micro_batches=2)
        state = init_fixmatch(TX, w, KEY)
        weak = batch.get("weak", batch["image"])
        (value, certain), slope = jax.value_and_grad(objective, has_aux=True)(
            w, batch, weak
        )
        wanted = w - 0.1 * slope, value, certain
        one, two = step(state, batch), parts(state, batch)
        told = [(s.params["model"], m["loss"], m["certain"]) for s, m in (one, two)]
        return told, wanted

    found, wanted = both(W)
    assert 0 < wanted[2] < 1
    for one in found:
        for a, b in zip(one, wanted, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-13)


def test_no_certain_view_and_no_label_teach_nothing():
    nothing = {**BATCH, "label": np.full(6, -1)}

    @jax.jit
    def run(w):
        step = make_fixmatch_step(MODEL, TX, threshold=1.0)
        state = init_fixmatch(TX, w, KEY)
        return step(state, nothing), step(state, BATCH)

    (first, told), (_, metrics) = run(W)
    np.testing.assert_array_equal(first.params["model"], W)
    assert told["loss"] == told["certain"] == metrics["unlabelled_loss"] == 0
    assert metrics["labelled_loss"] == metrics["loss"] > 0


def test_another_loss_carries_its_state_and_sees_the_auxiliary_logits():
    def two(params, state, x, *, train, key=None):
        return (x @ params, 2 * (x @ params)), state

    def loss(state, logits, *, weak, auxiliary):
        np.testing.assert_allclose(auxiliary.shape, weak.shape)
        return jnp.sum((auxiliary - 2 * logits) ** 2, -1) + 1, state + 1

    counted = StatefulLoss(lambda logits: jnp.zeros(()), loss)
    network = Functional(MODEL.init, two)

    @jax.jit
    def run(w):
        step = make_fixmatch_step(network, TX, unlabelled=counted, weight=0.5)
        state = init_fixmatch(TX, w, KEY, unlabelled=jnp.zeros(()))
        for _ in range(2):
            state, metrics = step(state, BATCH)
        return state, metrics

    state, metrics = run(W)
    assert float(state.model_state["unlabelled"]) == 2.0
    assert float(metrics["unlabelled_loss"]) == 1.0


def test_shrinkmatch_is_the_loss_of_the_views():
    loss = shrinkmatch(threshold=0.6, weight=0.5)

    @jax.jit
    def both(w):
        views = BATCH["strong"].reshape(-1, 4) @ w
        first = loss.init(views)
        step = make_fixmatch_step(MODEL, TX, unlabelled=loss)
        start = init_fixmatch(TX, w, KEY, unlabelled=first)
        state, metrics = step(start, BATCH)
        q = jax.nn.softmax(BATCH["weak"].reshape(-1, 4) @ w)
        each, kept = loss.apply(first, views, weak=q, auxiliary=views)
        return metrics["unlabelled_loss"], jnp.mean(each), state, kept

    found, wanted, state, kept = both(W)
    np.testing.assert_allclose(found, wanted, rtol=1e-12)
    held = state.model_state["unlabelled"]
    jax.tree.map(np.testing.assert_array_equal, held, kept)
    assert 0 < float(kept.certain) < 1


def flops(function, *args):
    return jax.jit(function).lower(*args).compile().cost_analysis()["flops"]


def test_it_costs_its_forwards_and_backwards():
    wide = {"w": jnp.zeros((64, 128)), "v": jnp.zeros((128, 10))}

    def deep(params, state, x, *, train=True, key=None):
        return jax.nn.relu(x @ params["w"]) @ params["v"], state

    batch = {"image": jnp.ones((32, 64)), "label": jnp.zeros(32, jnp.int32)}
    batch |= {"weak": jnp.ones((32, 3, 64)), "strong": jnp.ones((32, 3, 64))}

    def passes(w, batch):
        def mean(w, x):
            out = jax.nn.log_softmax(deep(w, {}, x)[0])
            return -jnp.mean(out[:, 0])

        views = batch["strong"].reshape(-1, 64), batch["weak"].reshape(-1, 64)
        both = [jax.grad(mean)(w, x) for x in (batch["image"], views[0])]
        return both, deep(w, {}, views[1])[0]

    step = make_fixmatch_step(Functional(MODEL.init, deep), TX)
    found = flops(step, init_fixmatch(TX, wide, KEY), batch)
    assert found <= 1.1 * flops(passes, wide, batch)


def test_weight_0_is_the_plain_step_of_the_labelled():
    def loss_fn(params, model_state, batch, key):
        log_p = jax.nn.log_softmax(batch["image"] @ params)
        return -jnp.mean(log_p[jnp.arange(6), batch["label"]]), (model_state, {})

    batch = {**BATCH, "label": np.arange(6) % 3}

    @jax.jit
    def both(w):
        step = make_fixmatch_step(MODEL, TX, weight=0.0)
        plain = make_train_step(loss_fn, TX)(init_state(TX, w, KEY), batch)
        return step(init_fixmatch(TX, w, KEY), batch)[0].params["model"], plain[
            0
        ].params

    np.testing.assert_allclose(*both(W), rtol=1e-13)


def call(unlabelled=None, **entries):
    def run():
        step = make_fixmatch_step(MODEL, TX, unlabelled=unlabelled)
        given = {n: x for n, x in {**BATCH, **entries}.items() if x is not None}
        # The batch's values are known, those of the parameters are not.
        jax.eval_shape(lambda w: step(init_fixmatch(TX, w, KEY), given), W)

    return run


@pytest.mark.parametrize(
    "make, words",
    [
        (
            lambda: make_fixmatch_step(MODEL, TX, weight=-1.0),
            "weight must be",
        ),
        (lambda: make_fixmatch_step(MODEL, TX, threshold=1.5), "threshold must lie in"),
        (call(strong=None), "the batch has no 'strong'"),
        (call(strong=BATCH["image"]), "12 weak views and 6 strong ones"),
        (call(strong=np.ones((6, 5))), r"'strong' has shape \(6, 5\); accepted: \(B, "),
        (call(label=np.full(6, 3)), "label 3 is out of range; accepted: 0 to 2"),
        (
            call(StatefulLoss(lambda z: z, lambda s, z: (z, s))),
            "has no state",
        ),
        (
            lambda: make_fixmatch_step(MODEL, TX)(init_state(TX, {"a": W}, KEY), BATCH),
            "must have 'model', as init_fixmatch makes it",
        ),
    ],
)
def test_bad_input(make, words):
    with pytest.raises(InputError, match=words):
        make()
