"""hypergrad through train steps: every kind of outer parameter, by finite differences.

The bar is 1e-6 relative to the largest entry of the gradient, in float64.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from support import cases
from support import inner_problems as problems

import jaxopt_lab
from jaxopt_lab.bilevel import from_train_step, hypergrad
from jaxopt_lab.training import init_state, make_train_step

STEPS = 4
EXAMPLES = 5


@functools.cache
def batches():
    random = np.random.default_rng(3)
    inputs = random.normal(size=(STEPS, EXAMPLES, 3))
    targets = np.sin(inputs.sum(-1)) + 0.1 * random.normal(size=(STEPS, EXAMPLES))
    index = np.tile(np.arange(EXAMPLES), (STEPS, 1))
    return {"x": inputs, "y": targets, "index": index}


@functools.cache
def weights():
    random = np.random.default_rng(4)
    return {
        "in": {"kernel": random.normal(size=(3, 4)) / 2, "bias": np.full(4, 0.1)},
        "out": {"kernel": random.normal(size=4) / 2},
    }


def errors_of(params, batch, noise=0.0):
    hidden = batch["x"] @ params["in"]["kernel"] + params["in"]["bias"][None]
    return jnp.tanh(hidden + noise) @ params["out"]["kernel"] - batch["y"]


def plain_loss(params, batch):
    return jnp.mean(errors_of(params, batch) ** 2)


def train_loss(theta):
    """The loss of a step, with whatever of theta it knows."""

    def loss_fn(params, model_state, batch, key):
        noise = 0.0
        if "noise" in theta:
            drawn = jax.random.normal(key, (batch["x"].shape[0], 4))
            noise = theta["noise"] * drawn
        squares = errors_of(params, batch, noise) ** 2
        if "example_weights" in theta:
            squares = squares * theta["example_weights"][batch["index"]]
        loss = jnp.mean(squares)
        if "loss_weights" in theta:
            terms = [loss, jnp.mean(jnp.abs(params["out"]["kernel"]) ** 1.5)]
            loss = jnp.sum(theta["loss_weights"] * jnp.stack(terms))
        return loss, (model_state, {"size": jnp.sum(squares)})

    return loss_fn


def outer(theta, params):
    last = {k: v[0, ::-1] for k, v in batches().items()}
    return jnp.mean(jnp.cosh(errors_of(params, {**last, "y": last["y"][::-1]})))


def problem(make_tx):
    def init(theta):
        params = theta.get("weights", jax.tree.map(jnp.asarray, weights()))
        return init_state(make_tx(theta), params, jax.random.key(0))

    return from_train_step(
        lambda theta: make_train_step(train_loss(theta), make_tx(theta)),
        init,
        batches(),
    )


def per_layer(theta):
    return optax.partition(
        {name: optax.sgd(theta["lr"][name], 0.9) for name in theta["lr"]},
        {"in": "in", "out": "out"},
    )


def decayed(theta):
    mask = lambda chosen: jax.tree_util.tree_map_with_path(
        lambda path, _: jaxopt_lab.core.trees.path_name(path) == chosen, weights()
    )
    links = [
        optax.masked(optax.add_decayed_weights(decay), mask(name))
        for name, decay in theta["decay"].items()
    ]
    return optax.chain(*links, optax.sgd(0.3))


def adam(theta):
    return optax.adam(0.05, b1=theta["b1"], b2=theta["b2"], eps=theta["eps"])


def critical(theta):
    return jaxopt_lab.adam_cm(0.05, capacity=2, eps=1e-3, **theta)


def plain(theta):
    del theta
    return optax.sgd(0.3, momentum=0.9)


CASES = {
    "learning rate": (lambda th: optax.adam(th["lr"]), {"lr": 0.05}),
    "per layer": (per_layer, {"lr": {"in": 0.3, "out": 0.1}}),
    "schedule": (
        lambda th: optax.sgd(lambda count: th["lr"][count], momentum=0.9),
        {"lr": np.linspace(0.4, 0.1, STEPS)},
    ),
    "betas and eps": (adam, {"b1": 0.9, "b2": 0.99, "eps": 1e-2}),
    "weight decay per leaf": (
        decayed,
        {"decay": {"in/kernel": 0.1, "in/bias": 0.0, "out/kernel": 0.03}},
    ),
    "rho": (
        lambda th: optax.chain(jaxopt_lab.sam(th["rho"]), optax.sgd(0.3)),
        {"rho": 0.2},
    ),
    "buffer of adam_cm": (critical, {"kappa": 0.8, "b1": 0.8, "decay": 0.7}),
    "noise": (plain, {"noise": 0.3}),
    "initial weights": (plain, {"weights": weights()}),
    "example weights": (plain, {"example_weights": np.linspace(0.5, 1.5, EXAMPLES)}),
    "loss weights": (plain, {"loss_weights": np.array([1.0, 0.2])}),
}


@pytest.mark.full
@pytest.mark.parametrize("name", cases.plain(CASES, {"rho"}))
def test_finite_differences(name):
    make_tx, theta = CASES[name]
    theta = jax.tree.map(jnp.asarray, theta)
    inner = problem(make_tx)
    run = lambda th: hypergrad(outer, inner, th)
    value, grad, info = jax.jit(run)(theta)
    expected = problems.central_difference(lambda th: run(th)[0], theta, 1e-4)
    assert problems.relative_error(grad, expected) <= 1e-6
    for path, leaf in jax.tree.leaves_with_path(grad):
        # The decay of the keys only decides which momentum is kept.
        chooses = name == "buffer of adam_cm" and path[-1].key == "decay"
        assert np.all(leaf == 0) if chooses else np.all(leaf != 0), path
    assert int(info["carry"].step) == STEPS
    np.testing.assert_allclose(value, outer(theta, info["carry"].params), rtol=1e-12)


@pytest.mark.full
def test_all_at_once_forward_is_reverse():
    theta = {
        "lr": jnp.linspace(0.1, 0.05, STEPS),
        "b1": jnp.array(0.8),
        "rho": jnp.array(0.1),
        "noise": jnp.array(0.2),
        "example_weights": jnp.linspace(0.5, 1.5, EXAMPLES),
    }

    def make_tx(theta):
        adam = optax.adam(lambda count: theta["lr"][count], b1=theta["b1"], eps=1e-3)
        return optax.chain(jaxopt_lab.sam(theta["rho"]), adam)

    inner = problem(make_tx)
    _, one, _ = jax.jit(lambda th: hypergrad(outer, inner, th))(theta)
    _, two, _ = jax.jit(lambda th: hypergrad(outer, inner, th, mode="forward"))(theta)
    assert problems.relative_error(one, two) <= 1e-9


@pytest.mark.full
def test_a_run_by_hand():
    theta, batch_of = (
        {"lr": jnp.array(0.1)},
        lambda t: jax.tree.map(lambda x: x[t % STEPS], batches()),
    )
    make_tx = lambda th: optax.sgd(th["lr"], momentum=0.9)
    inner = problem(make_tx)
    step = jax.jit(make_train_step(train_loss(theta), make_tx(theta)))
    state = inner.init(theta)
    seen = {}
    for t in range(STEPS + 2):
        state, _ = step(state, batch_of(t))
        seen[t + 1] = state.params
    run = jax.jit(
        lambda th, n, **at: hypergrad(outer, inner.replace(n=n), th, **at)[2]["carry"],
        static_argnums=1,
    )
    half = run(theta, 3)
    # The window goes on behind the third batch, and past the end it starts anew.
    rest = run(theta, 3, start=half, t0=3)
    for got, expected in ((half, seen[3]), (rest, seen[6])):
        assert problems.relative_error(got.params, expected) <= 1e-13


def test_batches_by_a_function_of_t_are_not_wrapped():
    inner = from_train_step(
        lambda theta: lambda state, batch: (state + theta * batch, {}),
        lambda theta: jnp.zeros(()),
        2,
        batch_at=lambda t: t.astype(jnp.float64),
        read=lambda state: state,
    )
    value, _, _ = hypergrad(lambda th, w: w, inner, 1.0, t0=5)
    assert float(value) == 5.0 + 6.0


@pytest.mark.full
def test_implicitly_through_adam():
    # Whatever finds the minimum, its derivative is that of the objective.
    batch = jax.tree.map(lambda x: x[0], batches())

    def objective(theta, w):
        fit = jnp.mean((batch["x"] @ w - batch["y"]) ** 2)
        return fit + jnp.exp(theta["log_penalty"]) * jnp.sum(w**2)

    def loss_of(theta):
        return lambda w, state, batch, key: (objective(theta, w), (state, {}))

    tx = optax.adam(optax.exponential_decay(0.3, 50, 0.5))
    inner = from_train_step(
        lambda theta: make_train_step(loss_of(theta), tx),
        lambda theta: init_state(tx, jnp.zeros(3), jax.random.key(0)),
        800,
        batch_at=lambda t: batch,
        objective=objective,
    )

    def closed(theta):
        x, y = batch["x"], batch["y"]
        gram = x.T @ x / EXAMPLES + jnp.exp(theta["log_penalty"]) * jnp.eye(3)
        return jnp.sum(jnp.linalg.solve(gram, x.T @ y / EXAMPLES) ** 2)

    theta = {"log_penalty": jnp.array(-1.0)}
    outer = lambda theta, w: jnp.sum(w**2)
    value, grad, _ = jax.jit(
        lambda th: hypergrad(outer, inner, th, mode="implicit_cg")
    )(theta)
    expected_value, expected = jax.value_and_grad(closed)(theta)
    np.testing.assert_allclose(value, expected_value, rtol=1e-6)
    np.testing.assert_allclose(grad["log_penalty"], expected["log_penalty"], rtol=1e-6)
