"""SortedNet: the sum over draws, the plain step, draws without bias, its optimum."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxopt_lab
from jaxopt_lab import losses
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.functional import Functional
from jaxopt_lab.layers import evaluate_all, sub_networks, with_sub_networks
from jaxopt_lab.recipes import init_sortednet, make_sortednet_step
from jaxopt_lab.training import init_state, make_train_step

RNG = np.random.default_rng(0)
PARAMS = {"in": RNG.normal(size=(4, 8)), "out": RNG.normal(size=(8, 3))}
AXES = {"in": (None, "width"), "out": ("width", None)}
BATCH = {"image": RNG.normal(size=(6, 4)), "label": RNG.integers(0, 3, 6)}
KEY, TX, WIDTHS = jax.random.key(0), optax.sgd(1.0), (0.25, 0.5, 1.0)


def apply(params, state, x, *, train, key=None):
    if "calls" in state:
        state = {"calls": state["calls"] + 1}
    y = jax.nn.relu(x @ params["in"])
    if key is not None and "noise" in params:
        y = y * jax.random.bernoulli(key, 0.5, y.shape)
    return y @ params["out"], state


NETWORK = Functional(lambda key: (PARAMS, {}), apply)


def plain(params, state, batch, key):
    logits, state = apply(params, state, batch["image"], train=True, key=key)
    return jnp.mean(losses.cross_entropy(logits, batch["label"])), (state, {})


def sized(params, width):
    """The loss of a network of the first units, by slices."""
    units = int(8 * width)
    small = {"in": params["in"][:, :units], "out": params["out"][:units]}
    return plain(small, {}, BATCH, None)[0]


@pytest.mark.full
def test_a_step_goes_down_the_sum_over_all_and_the_draws_have_its_mean():
    objective = lambda params: sum(sized(params, w) for w in WIDTHS)

    @jax.jit
    def run(params, keys):
        value, slope = jax.value_and_grad(objective)(params)
        make = lambda **options: make_sortednet_step(
            NETWORK, TX, axes=AXES, widths=WIDTHS, **options
        )
        state = init_sortednet(TX, params, KEY, model_state={"calls": jnp.zeros(())})
        every = make(accumulate=None)(state, BATCH)
        means = make(accumulate=None, mean=True)(state, BATCH)
        one = lambda key: make(accumulate=2)(state._replace(key=key), BATCH)
        moved = jax.vmap(lambda key: one(key)[0].params["model"])(keys)
        return value, slope, every, means, moved

    keys = jax.random.split(jax.random.key(1), 2000)
    value, slope, (every, metrics), (means, told), moved = run(PARAMS, keys)
    np.testing.assert_allclose(metrics["loss"], value, rtol=1e-12)
    np.testing.assert_allclose(told["loss"], value / 3, rtol=1e-12)
    np.testing.assert_allclose(metrics["width"], 1.75 / 3, rtol=1e-7)
    assert float(every.model_state["model"]["calls"]) == 3
    for name, g in slope.items():
        step = PARAMS[name] - np.asarray(every.params["model"][name])
        np.testing.assert_allclose(step, g, rtol=1e-9, atol=1e-12)
        step = PARAMS[name] - np.asarray(means.params["model"][name])
        np.testing.assert_allclose(step, g / 3, rtol=1e-9, atol=1e-12)
        steps = PARAMS[name] - np.asarray(moved[name])
        error = np.std(steps, 0) / np.sqrt(len(steps))
        assert np.all(np.abs(np.mean(steps, 0) - 2 / 3 * g) <= 5 * error + 1e-12)


def test_the_full_network_alone_is_the_plain_step_to_the_bit():
    tx = optax.chain(jaxopt_lab.sam(0.1), optax.adamw(0.1))
    noisy = {**PARAMS, "noise": np.zeros(())}

    @jax.jit
    def both(params):
        options = {"micro_batches": 2, "micro_loop": "unroll"}
        step = make_sortednet_step(
            NETWORK, tx, axes=AXES, widths=(1.0,), accumulate=1, **options
        )
        found = step(init_sortednet(tx, params, KEY), BATCH)
        wanted = make_train_step(plain, tx, **options)
        return found, wanted(init_state(tx, params, KEY), BATCH)

    (state, metrics), (wanted, told) = both(noisy)
    for name in PARAMS:
        found = state.params["model"][name]
        np.testing.assert_array_equal(found, wanted.params[name])
    np.testing.assert_array_equal(metrics["loss"], told["loss"])
    assert jax.tree.structure(state.opt_state["model"]) == jax.tree.structure(
        wanted.opt_state
    )


def test_the_best_approximations_of_every_rank_are_an_optimum_of_a_linear_network():
    """As of ordered dropout: units ordered as singular values, on white inputs."""
    q, values, z = np.linalg.svd(RNG.normal(size=(6, 6)))
    root = np.sqrt(values)
    best = {"in": q * root, "out": root[:, None] * z}
    target = (q * values) @ z
    linear = Functional(
        lambda key: (best, {}),
        lambda params, state, x, **_: (x @ params["in"] @ params["out"], state),
    )
    model = with_sub_networks(linear, AXES)
    every = sub_networks([k / 6 for k in range(1, 7)])

    def objective(params):
        def one(sub):
            y, _ = model.apply(params, {}, (jnp.eye(6), sub), train=True)
            return jnp.sum((y - target) ** 2)

        return jnp.sum(evaluate_all(one, every))

    noise = [
        jax.tree.map(
            lambda w, s=s: 0.05 * np.random.default_rng(s).normal(size=w.shape), best
        )
        for s in range(20)
    ]
    stacked = jax.tree.map(lambda *x: np.stack(x), *noise)

    @jax.jit
    def run(params, stacked):
        moved = lambda d: objective(jax.tree.map(jnp.add, params, d))
        return objective(params), jax.grad(objective)(params), jax.vmap(moved)(stacked)

    least, slope, others = run(best, stacked)
    tails = sum(np.sum(values[k:] ** 2) for k in range(1, 7))
    np.testing.assert_allclose(least, tails, rtol=1e-10)
    assert max(np.max(np.abs(g)) for g in slope.values()) < 1e-11
    assert np.all(np.asarray(others) > least)


def call(state=None, **options):
    def run():
        given = {"axes": AXES, **options}
        step = make_sortednet_step(NETWORK, TX, **given)
        start = state or init_sortednet(TX, PARAMS, KEY)
        jax.eval_shape(lambda: step(start, BATCH))

    return run


@pytest.mark.parametrize(
    "make, words",
    [
        (call(accumulate=0), "accumulate must be"),
        (call(widths=(0.5, 1.5)), "widths must be shares"),
        (
            call(axes={"hidden": ("width",)}),
            "'hidden' finds no leaf; .* in, out",
        ),
        (call(label="class"), "the batch has no 'class'"),
        (call(state=init_state(TX, PARAMS, KEY)), "as init_sortednet makes it"),
    ],
)
def test_bad_input(make, words):
    with pytest.raises(InputError, match=words) as told:
        make()
    assert "\n" not in str(told.value)
