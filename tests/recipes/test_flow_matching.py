"""Flow matching: its step in plain words, and the sampler on flows that are known."""

import importlib.util

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.functional import Functional
from jaxopt_lab.recipes import (
    init_flow_matching,
    integrate_flow,
    make_flow_matching_step,
)
from jaxopt_lab.recipes.flow_matching import draw_pairs

RNG = np.random.default_rng(0)
DATA = RNG.normal(size=(6, 2)) + 2
BATCH = {"image": DATA, "start": RNG.normal(size=(6, 2))}
PARAMS = RNG.normal(size=(2, 2))
KEY = jax.random.key(0)
TX = optax.sgd(0.1)
HAS_DIFFRAX = importlib.util.find_spec("diffrax") is not None


def apply(params, state, given, *, train, key=None):
    x, t = given
    return jnp.sin(x @ params) + t[:, None], state


NETWORK = Functional(lambda key: (PARAMS, {}), apply)


def stepped(params, batch=BATCH, **options):
    step = make_flow_matching_step(NETWORK, TX, **options)
    return step(init_flow_matching(TX, params, KEY), batch)


@pytest.mark.full(plain=["weighted"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"epsilon": 0.7, "micro_batches": 2, "source": "start", "sigma": 0.2},
        {"epsilon": 2.0, "cost": "half_squared"},
    ],
    ids=["plain", "weighted", "half"],
)
def test_the_step_goes_down_the_weighted_errors(options):
    @jax.jit
    def both(params):
        own = jax.random.split(KEY)[1]
        source = BATCH["start"] if "source" in options else None
        pairs = draw_pairs(own, DATA, source, options.get("sigma", 0.0))
        x, t, apart = (pairs[n] for n in ("x", "t", "displacement"))
        length = jnp.sum(apart**2, axis=1)
        cost = length / 2 if "cost" in options else jnp.sqrt(length)
        weights = jnp.exp(-cost / options.get("epsilon", jnp.inf))

        def value(params):
            errors = jnp.sum((apply(params, {}, (x, t), train=True)[0] - apart) ** 2, 1)
            return jnp.sum(weights * errors) / jnp.sum(weights)

        loss, slope = jax.value_and_grad(value)(params)
        share = jnp.sum(weights) ** 2 / (6 * jnp.sum(weights**2))
        wanted = params - 0.1 * slope, loss, share
        state, metrics = stepped(params, **options)
        found = state.params["model"], metrics["loss"], metrics["effective_share"]
        return found, wanted, pairs, state.step

    found, wanted, pairs, count = both(PARAMS)
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-11)
    assert int(count) == 1
    assert ((pairs["t"] >= 0) & (pairs["t"] < 1)).all()


def test_a_path_is_straight_between_its_ends():
    pairs = draw_pairs(KEY, jnp.asarray(DATA), BATCH["start"], 0.0)
    share = pairs["t"][:, None]
    wanted = (1 - share) * BATCH["start"] + share * DATA
    np.testing.assert_allclose(pairs["x"], wanted, rtol=1e-12)
    np.testing.assert_allclose(pairs["displacement"], DATA - BATCH["start"])


TURN = np.array([[0.0, 1.0], [-1.0, 0.0]])


def turning(x, t):
    return x @ TURN * (1 + t)[:, None]


def test_the_error_falls_with_the_order_of_the_method_and_the_way_leads_back():
    x = RNG.normal(size=(3, 2))
    angle = 1.5  # of 1 + t from 0 to 1
    c, s = np.cos(angle), np.sin(angle)
    wanted = x @ np.array([[c, s], [-s, c]])
    orders = {"euler": 1, "midpoint": 2, "heun": 2, "rk4": 4}

    @jax.jit
    def run(x):
        found = {
            m: [integrate_flow(turning, x, steps=n, method=m) for n in (16, 32)]
            for m in orders
        }
        ahead = found["rk4"][1]
        back = integrate_flow(
            turning, ahead, steps=32, method="rk4", start=1.0, end=0.0
        )
        return found, back, integrate_flow(turning, x, steps=32, path=True)

    found, back, path = run(x)
    for method, order in orders.items():
        coarse, fine = (np.abs(y - wanted).max() for y in found[method])
        np.testing.assert_allclose(np.log2(coarse / fine), order, atol=0.3)
    np.testing.assert_allclose(back, x, atol=1e-6)
    assert path.shape == (33, 3, 2)
    np.testing.assert_array_equal(path[0], x)
    np.testing.assert_allclose(path[-1], found["midpoint"][1], rtol=1e-12)


@pytest.mark.skipif(not HAS_DIFFRAX, reason="diffrax is not installed")
def test_fixed_steps_end_where_diffrax_does():
    x = RNG.normal(size=(3, 2))
    wide = {"method": "diffrax", "tolerance": 1e-10}
    found = integrate_flow(turning, x, steps=64, method="rk4")
    np.testing.assert_allclose(found, integrate_flow(turning, x, **wide), atol=1e-7)


@pytest.mark.skipif(HAS_DIFFRAX, reason="diffrax is installed")
def test_without_diffrax_one_line_says_so():
    with pytest.raises(InputError, match="needs diffrax, which is not installed"):
        integrate_flow(turning, jnp.ones((1, 2)), method="diffrax")


def call(batch=BATCH, network=NETWORK, **options):
    def run():
        step = make_flow_matching_step(network, TX, **options)
        begin = lambda: init_flow_matching(TX, PARAMS, KEY)
        jax.eval_shape(lambda: step(begin(), batch))

    return run


SHORT = Functional(NETWORK.init, lambda p, s, given, **_: (given[0][:, :1], s))


@pytest.mark.parametrize(
    "run, words",
    [
        (call(epsilon=0.0), "epsilon"),
        (call(cost="l1"), "unknown cost 'l1'"),
        (call(sigma=-1.0), "sigma must be at least 0"),
        (call(inputs="x"), "the batch has no 'x'"),
        (call({**BATCH, "start": DATA[:2]}, source="start"), "the source must have"),
        (call(network=SHORT), r"the velocity must have shape \(6, 2\)"),
        (lambda: integrate_flow(turning, jnp.ones((1, 2)), steps=0), "steps"),
        (lambda: integrate_flow(turning, jnp.ones((1, 2), int)), "got int"),
        (
            lambda: integrate_flow(turning, DATA, path=True, method="diffrax"),
            "path=True takes fixed steps",
        ),
    ],
)
def test_bad_input(run, words):
    with pytest.raises(InputError, match=words) as told:
        run()
    assert "\n" not in str(told.value)
