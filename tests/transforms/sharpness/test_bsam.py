"""bsam: a plain reference, the noise, cost."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from support import links, on_devices

import jaxopt_lab
from jaxopt_lab.core import trees
from jaxopt_lab.core.errors import InputError

RNG = np.random.default_rng(7)
X = {"a": RNG.normal(size=(10, 3)), "b": RNG.normal(size=(10, 2))}
Y = RNG.normal(size=10)
START = {"a": RNG.normal(size=3), "b": RNG.normal(size=2)}


def loss_fn(p, batch):
    out = batch["a"] @ p["a"] + batch["b"] @ p["b"]
    return jnp.mean((out - batch["y"]) ** 2) / 2


def gradient(w):
    """Of the loss, by hand."""
    error = X["a"] @ w["a"] + X["b"] @ w["b"] - Y
    return {n: X[n].T @ error / len(Y) for n in w}


def run(steps=6, **options):
    """The parameters and the state before and after every step."""
    tx = jaxopt_lab.bsam(**options)
    grad_fn = jaxopt_lab.batch_grad(
        loss_fn, {**jax.tree.map(jnp.asarray, X), "y": jnp.asarray(Y)}
    )
    params = jax.tree.map(jnp.asarray, START)
    state = tx.init(params)
    found = [(params, state)]

    @jax.jit
    def step(params, state):
        updates, state = tx.update(grad_fn(params), state, params, grad_fn=grad_fn)
        return optax.apply_updates(params, updates), state

    for _ in range(steps):
        params, state = step(params, state)
        found.append((params, state))
    return found


@pytest.mark.full(plain=["0.0-0.0", "0.0-0.3"])
@pytest.mark.parametrize("rho", [0.0, 0.3])
@pytest.mark.parametrize("decay", [0.0, 0.02])
def test_it_is_the_plain_reference(rho, decay):
    rate, b1, b2, floor, n = 0.2, 0.8, 0.7, 0.15, 50.0
    found = run(
        learning_rate=rate,
        rho=rho,
        num_data=n,
        b1=b1,
        b2=b2,
        weight_decay=decay,
        damping=floor,
        initial_precision=1.5,
    )
    w = dict(START)
    m = {k: np.zeros_like(v) for k, v in w.items()}
    s = {k: np.full_like(v, 1.5) for k, v in w.items()}
    for t, (params, state) in enumerate(found):
        mean = jaxopt_lab.eval_params(params, state)
        for k in w:
            np.testing.assert_allclose(mean[k], w[k], rtol=1e-10, atol=1e-12)
            np.testing.assert_allclose(state.momentum[k], m[k], rtol=1e-10, atol=1e-12)
            np.testing.assert_allclose(state.precision[k], s[k], rtol=1e-10)
        # The noise itself is tested below; here it is what was observed.
        noise = {k: np.asarray(params[k] - mean[k]) for k in w}
        assert (t == 0) == (not np.any(noise["a"]))
        g = gradient({k: w[k] + noise[k] for k in w})
        sharp = gradient({k: w[k] + rho * g[k] / s[k] for k in w})
        m = {k: b1 * m[k] + (1 - b1) * (sharp[k] + decay * w[k]) for k in w}
        w = {k: w[k] - rate * m[k] / s[k] for k in w}
        s = {
            k: b2 * s[k] + (1 - b2) * (np.sqrt(s[k]) * np.abs(g[k]) + floor + decay)
            for k in w
        }


@pytest.mark.full
def test_the_noise_has_the_variance_and_is_new_in_every_step():
    grads = {"p": jnp.full((40, 50), 0.5), "q": jnp.full((40, 50), 4.0)}
    params = jax.tree.map(jnp.zeros_like, grads)

    def noises(seed):
        tx = jaxopt_lab.bsam(0.1, 0.1, num_data=25, b2=0.5, seed=seed)
        state, found = tx.init(params), []
        for _ in range(2):
            _, state = tx.update(grads, state, params, grad_fn=lambda p, i=0: grads)
            for name in grads:
                z = state.noise[name] * jnp.sqrt(25 * state.precision[name])
                found.append(np.ravel(z))
        return found

    flat = [*noises(0), *noises(1)]
    for z in flat:
        assert abs(z.mean()) < 4 / np.sqrt(2000)
        assert abs(z.var() - 1) < 4 * np.sqrt(2 / 2000)
    correlation = np.corrcoef(flat) - np.eye(len(flat))
    assert np.max(np.abs(correlation)) < 4 / np.sqrt(2000)
    chex.assert_trees_all_equal(noises(0), flat[:4])


def bsam(**options):
    return jaxopt_lab.bsam(0.1, **{"num_data": 100.0, "rho": 0.1, **options})


@pytest.mark.full
@pytest.mark.parametrize("style", on_devices.STYLES)
def test_devices_give_the_numbers_of_one(style):
    got = on_devices.parameters_after(bsam(), style, 4)
    expected = links.trajectory(bsam(), steps=3)
    chex.assert_trees_all_close(got, expected, rtol=1e-11, atol=1e-13)


def test_cost():
    assert links.example_gradients(bsam()) == 2
    assert links.state_bytes(bsam()) == 12
    params = {"w": jnp.ones((3, 2), jnp.float32)}
    assert trees.nbytes(bsam().init(params)) == 12 * 6 + 4 + 8  # count and key


def make(v):
    return jaxopt_lab.bsam(
        v[0],
        v[1],
        num_data=v[2],
        b1=v[3],
        b2=v[4],
        weight_decay=v[5],
        damping=v[6],
        initial_precision=v[7],
    )


THETA = [0.1, 0.1, 20.0, 0.7, 0.8, 0.01, 0.2, 1.2]


@pytest.mark.full
def test_derivatives():
    links.check_derivatives(make, THETA)


@pytest.mark.full
def test_zero_gradients():
    links.check_zero_gradients(make, THETA)
    links.check_zero_gradients(make, THETA, zero_params=True)


@pytest.mark.parametrize(
    "wrong, words",
    [
        ({"rho": -0.1}, "rho must be at least 0; got -0.1"),
        ({"b1": 1.5}, r"b1 must lie in \[0, 1\]; got 1.5"),
        ({"damping": -1.0}, "damping must be at least 0; got -1.0"),
        ({"num_data": 0}, "num_data must be above 0; got 0"),
        ({"initial_precision": 0.0}, "initial_precision must be above 0; got 0.0"),
    ],
)
def test_bad_options(wrong, words):
    with pytest.raises(InputError, match=words):
        bsam(**wrong)


def test_narrow_parameters_are_refused():
    with pytest.raises(InputError, match="float32 master copy"):
        bsam().init({"w": jnp.ones(2, jnp.bfloat16)})
