"""HybridNet against its objective in plain words, and which branch is taught."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.functional import Functional
from jaxopt_lab.recipes import HybridOutputs, init_hybridnet, make_hybridnet_step
from jaxopt_lab.recipes.hybridnet import balanced_reconstruction

RNG = np.random.default_rng(0)
PARAMS = {
    n: RNG.normal(size=(4, k)) for n, k in (("y", 3), ("h", 3), ("c", 4), ("u", 4))
}
X, LABELS = RNG.normal(size=(6, 4)), np.array([0, -1, 2, -1, -1, 1])
BATCH = {"image": X, "label": LABELS}
KEY, TX = jax.random.key(0), optax.sgd(0.1)


def apply(params, state, x, *, train, key=None):
    outputs = (x @ params[name] for name in ("y", "c", "u", "h"))
    return HybridOutputs(*outputs), state


MODEL = Functional(lambda key: (PARAMS, {}), apply)
WEIGHTS = {"consistency": 2.0, "reconstruction": 0.3, "tie": 0.05}


def objective(params, teacher):
    rows = np.flatnonzero(LABELS >= 0)
    log_p = jax.nn.log_softmax(X @ params["y"])
    loss = -jnp.mean(log_p[rows, LABELS[rows]])
    p, q = (jax.nn.softmax(X @ w["h"]) for w in (params, teacher))
    loss = loss + 2 * jnp.mean((p - q) ** 2)
    apart = jnp.sum((X @ (params["y"] - params["h"])) ** 2, -1)
    total = 0.0
    for x in X:
        c, u = x @ params["c"], x @ params["u"]
        if np.mean((x - x @ PARAMS["c"]) ** 2) > np.mean((x - x @ PARAMS["u"]) ** 2):
            u = jax.lax.stop_gradient(u)
        else:
            c = jax.lax.stop_gradient(c)
        total = total + jnp.mean((x - c - u) ** 2)
    return loss + 0.05 * jnp.mean(apart) + 0.3 * total / 6


@pytest.mark.full
def test_the_step_goes_down_the_objective_and_the_teacher_follows():
    teacher = jax.tree.map(lambda x: x + 0.1, PARAMS)

    @jax.jit
    def both(params, teacher):
        state = init_hybridnet(TX, params, KEY)
        state = state._replace(params={"student": params, "teacher": teacher})
        step = make_hybridnet_step(MODEL, TX, **WEIGHTS)
        parts = make_hybridnet_step(MODEL, TX, **WEIGHTS, micro_batches=2)
        value, slope = jax.value_and_grad(objective)(params, teacher)
        wanted = jax.tree.map(lambda p, g: p - 0.1 * g, params, slope)
        later = state._replace(step=jnp.asarray(3, jnp.int32))
        return (
            step(state, BATCH),
            parts(state, BATCH),
            step(later, BATCH),
            wanted,
            value,
        )

    (found, metrics), (parts, _), (later, _), wanted, value = both(PARAMS, teacher)
    np.testing.assert_allclose(metrics["loss"], value, rtol=1e-12)
    for name, w in wanted.items():
        for state in (found, parts):
            np.testing.assert_allclose(state.params["student"][name], w, rtol=1e-10)
        # The first mean is the student itself, the fourth has a quarter of it.
        np.testing.assert_allclose(found.params["teacher"][name], w, rtol=1e-10)
        fourth = 0.75 * teacher[name] + 0.25 * w
        np.testing.assert_allclose(later.params["teacher"][name], fourth, rtol=1e-6)


def test_one_branch_of_each_example_is_taught_and_the_value_is_the_sum():
    c, u = RNG.normal(size=(2, 5, 3, 2))
    x = RNG.normal(size=(5, 3, 2))
    u[0] = c[0]
    value = lambda c, u: jnp.sum(balanced_reconstruction(x, c, u))
    slopes = jax.jit(jax.grad(value, (0, 1)))(c, u)
    whole = -2 * (x - c - u) / 6
    worse = ((x - c) ** 2).mean((1, 2)) > ((x - u) ** 2).mean((1, 2))
    assert not worse[0]
    rows = worse[:, None, None]
    np.testing.assert_allclose(slopes[0], np.where(rows, whole, 0), rtol=1e-12)
    np.testing.assert_allclose(slopes[1], np.where(rows, 0, whole), rtol=1e-12)
    found = balanced_reconstruction(x, c, u)
    np.testing.assert_allclose(found, ((x - c - u) ** 2).mean((1, 2)), rtol=1e-12)


def test_without_labels_and_weights_nothing_moves():
    @jax.jit
    def run(params):
        state = init_hybridnet(TX, params, KEY)
        none = {**BATCH, "label": np.full(6, -1)}
        still = dict.fromkeys(WEIGHTS, 0.0)
        first = make_hybridnet_step(MODEL, TX, **still)(state, none)
        # At the teacher the consistency is 0, and so is its gradient.
        alike = make_hybridnet_step(MODEL, TX, **{**still, "consistency": 50.0})
        ramped = make_hybridnet_step(MODEL, TX, **WEIGHTS, ramp=10)(state, BATCH)
        halved = make_hybridnet_step(MODEL, TX, **still, labelled_mean=False)
        plain = make_hybridnet_step(MODEL, TX, **still)(state, BATCH)
        return first, alike(state, none), ramped[1], halved(state, BATCH)[1], plain[1]

    first, alike, ramped, halved, plain = run(PARAMS)
    for state, metrics in (first, alike):
        assert metrics["consistency"] == 0
        jax.tree.map(np.testing.assert_array_equal, state.params["student"], PARAMS)
    np.testing.assert_allclose(halved["loss"], plain["loss"] / 2, rtol=1e-12)
    more = objective(PARAMS, PARAMS) - plain["loss"]
    np.testing.assert_allclose(ramped["loss"] - plain["loss"], np.exp(-5) * more, 1e-6)


def call(model=MODEL, **entries):
    def run():
        step = make_hybridnet_step(model, TX)
        batch = {**BATCH, **entries}
        jax.eval_shape(lambda p: step(init_hybridnet(TX, p, KEY), batch), PARAMS)

    return run


WRONG = Functional(MODEL.init, lambda p, s, x, *, train, key=None: (x @ p["y"], s))
SHORT = Functional(
    MODEL.init, lambda p, s, x, *, train, key=None: (HybridOutputs(x, x[:1], x), s)
)


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda: make_hybridnet_step(MODEL, TX, decay=1.0), "decay must"),
        (call(label=np.full(6, 3)), "label 3 is out of range; accepted: 0 to 2"),
        (call(WRONG), "the network gives .*; accepted: HybridOutputs"),
        (call(SHORT), "class_part has shape"),
    ],
)
def test_bad_input(make, words):
    with pytest.raises(InputError, match=words):
        make()
