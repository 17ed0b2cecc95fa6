"""Training beside a frozen guide: the objective, the roles, and what is refused."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxopt_lab
from jaxopt_lab import losses
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.functional import Functional
from jaxopt_lab.recipes import init_guided, make_guided_step
from jaxopt_lab.training import init_state, make_train_step

RNG = np.random.default_rng(0)
PARAMS = {"in": RNG.normal(size=(4, 5)), "out": RNG.normal(size=(5, 3))}
GUIDE = {"in": RNG.normal(size=(4, 7)), "out": RNG.normal(size=(7, 3))}
BATCH = {"image": RNG.normal(size=(6, 4)), "label": RNG.integers(0, 3, 6)}
KEY, TX = jax.random.key(0), optax.sgd(0.1)


def network(named=False, layers=2, **changes):
    def apply(params, state, x, *, train, key=None):
        state = {"calls": state["calls"] + 1} if train and "calls" in state else state
        hidden = jnp.tanh(x @ params["in"])
        logits = hidden @ params["out"]
        found = {"hidden": hidden, "logits": logits} if named else [hidden, logits]
        return (logits, found if named else found[:layers]), state

    return Functional(lambda key: (PARAMS, {}), changes.get("apply", apply))


def alignment(x, y):
    n = len(x)
    centre = np.eye(n) - 1 / n
    k, h = centre @ (x @ x.T) @ centre, centre @ (y @ y.T) @ centre
    return jnp.sum(k * h) / jnp.sqrt(jnp.sum(k * k) * jnp.sum(h * h))


def cross_entropy(params):
    log_p = jax.nn.log_softmax(jnp.tanh(BATCH["image"] @ params["in"]) @ params["out"])
    return -jnp.mean(log_p[np.arange(6), BATCH["label"]])


def apart(params):
    total = 0.0
    x, y = (jnp.tanh(BATCH["image"] @ w["in"]) for w in (params, GUIDE))
    for a, b in ((x, y), (x @ params["out"], y @ GUIDE["out"])):
        total = total + 1 - alignment(a, b)
    return total


def test_the_step_goes_down_the_objective_and_the_guide_stays():
    objective = lambda params: cross_entropy(params) + 0.7 * apart(params)
    states = {f"{n}_state": {"calls": jnp.zeros(())} for n in ("target", "guide")}

    @jax.jit
    def both(params, guide):
        state = init_guided(TX, params, guide, KEY, **states)
        step = make_guided_step(network(), network(), TX, weight=0.7)
        named = make_guided_step(network(True), network(True), TX, weight=0.7)
        value, slope = jax.value_and_grad(objective)(params)
        wanted = jax.tree.map(lambda p, g: p - 0.1 * g, params, slope)
        return step(state, BATCH), named(state, BATCH), wanted, value, apart(params)

    (state, metrics), (named, _), wanted, value, unlike = both(PARAMS, GUIDE)
    for found in (state, named):
        for name, w in wanted.items():
            np.testing.assert_allclose(found.params["target"][name], w, rtol=1e-10)
            np.testing.assert_array_equal(found.params["guide"][name], GUIDE[name])
    np.testing.assert_allclose(metrics["loss"], value, rtol=1e-12)
    np.testing.assert_allclose(metrics["guidance"], unlike, rtol=1e-12)
    calls = {role: float(s["calls"]) for role, s in state.model_state.items()}
    assert calls == {"target": 1, "guide": 0} and state.opt_state["guide"] == ()


def test_the_weight_0_is_the_plain_step_exactly_even_with_sam_and_micro_batches():
    tx = optax.chain(jaxopt_lab.sam(0.1), optax.sgd(0.1))

    def plain(params, state, batch, key):
        logits = jnp.tanh(batch["image"] @ params["in"]) @ params["out"]
        return jnp.mean(losses.cross_entropy(logits, batch["label"])), (state, {})

    def no_guide(*_, **__):
        raise AssertionError("the guide is in the program")

    @jax.jit
    def both(params):
        kept = network()
        none = network(apply=no_guide)
        step = make_guided_step(kept, none, tx, weight=0.0, micro_batches=2)
        found = step(init_guided(tx, params, GUIDE, KEY), BATCH)
        wanted = make_train_step(plain, tx, micro_batches=2)
        return found, wanted(init_state(tx, params, KEY), BATCH)

    (state, metrics), (wanted, told) = both(PARAMS)
    for name in PARAMS:
        found = state.params["target"][name]
        np.testing.assert_array_equal(found, wanted.params[name])
    np.testing.assert_array_equal(metrics["loss"], told["loss"])
    assert "guidance" not in metrics


def test_a_guide_of_the_same_weights_moves_nothing():
    @jax.jit
    def both(params):
        out = []
        for weight in (0.0, 50.0):
            step = make_guided_step(network(), network(), TX, weight=weight)
            out.append(step(init_guided(TX, params, params, KEY), BATCH))
        return out

    (plain, _), (guided, metrics) = both(PARAMS)
    np.testing.assert_allclose(metrics["guidance"], 0, atol=1e-14)
    for name in PARAMS:
        np.testing.assert_allclose(
            guided.params["target"][name], plain.params["target"][name], atol=1e-12
        )


def call(target=None, guide=None, rows=6, state=None, **options):
    def run():
        target_, guide_ = target or network(), guide or network()
        step = make_guided_step(target_, guide_, TX, **options)
        batch = {name: x[:rows] for name, x in BATCH.items()}
        start = state or init_guided(TX, PARAMS, GUIDE, KEY)
        step(start, batch)

    return run


@pytest.mark.parametrize(
    "make, words",
    [
        (call(guide=network(layers=1)), "guide has 1 layers, the network 2"),
        (call(guide=network(True)), r"the guide has the layers \['hidden', 'logits'\]"),
        (
            call(guide=network(apply=lambda p, s, x, **_: (x, s))),
            "the guide gives .*; accepted: \\(logits, representations\\)",
        ),
        (
            call(target=network(apply=lambda p, s, x, **_: (x @ p["in"], s))),
            "the target gives .*; accepted: \\(logits, representations\\)",
        ),
        (call(rows=2), "guidance needs at least 3 examples"),
        (call(rows=3, debiased=True), "debiased needs at least 4 examples; got 3"),
        (call(weight=-1.0), "weight must be at least 0"),
        (call(micro_batches=2), "micro_batches must be 1 unless weight is 0"),
        (call(axis_name="data"), "axis_name must be None unless weight is 0"),
        (call(label="class"), "the batch has no 'class'"),
        (call(state=init_state(TX, PARAMS, KEY)), "as init_guided makes it"),
    ],
)
def test_bad_input(make, words):
    with pytest.raises(InputError, match=words) as told:
        make()
    assert "\n" not in str(told.value)
