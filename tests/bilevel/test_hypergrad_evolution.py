"""hypergrad from values alone: es and pes against what they estimate."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxopt_lab.bilevel import InnerProblem, hypergrad

CURVATURES = jnp.array([0.1, 0.5, 1.0])
STEPS, WINDOW = 100, 10
LOG_LR = {"log_lr": jnp.array(-2.0)}


TWO = {"key": jax.random.key(8), "pairs": 2, "sigma": 0.1}


def quadratic(n):
    """Descent on a quadratic; theta is the log learning rate."""
    return InnerProblem(
        init=lambda theta: (jnp.ones(3), jax.random.key(0)),
        step=lambda theta, c, t: (
            c[0] - jnp.exp(theta["log_lr"]) * CURVATURES * c[0],
            c[1],
        ),
        n=n,
        read=lambda c: c[0],
        window_loss=lambda theta, c, t: 0.5 * jnp.sum(CURVATURES * c[0] ** 2),
    )


def in_windows(mode, name, **options):
    """The sum over the windows of an episode of the estimates, each going on."""

    def run(key):
        keys = jax.random.split(key, STEPS // WINDOW)
        grad, info = window(None, keys[0], 0)

        def later(c, x):
            start, total = c
            grad, info = window(start, *x)
            return (info[name], total + grad), None

        ts = WINDOW * jnp.arange(1, STEPS // WINDOW)
        (_, total), _ = jax.lax.scan(later, (info[name], grad), (keys[1:], ts))
        return total

    def window(start, key, t0):
        drawn = {} if mode == "reverse" else {"key": key, **options}
        _, grad, info = hypergrad(
            None, quadratic(WINDOW), LOG_LR, mode=mode, start=start, t0=t0, **drawn
        )
        return grad["log_lr"], info

    return run


def replicated(run, count=64):
    """Mean over independent replicates, and its standard error."""
    every = jax.jit(jax.vmap(run))(jax.random.split(jax.random.key(1), count))
    return float(every.mean()), float(every.std(ddof=1)) / count**0.5


def exact():
    _, grad, _ = jax.jit(lambda th: hypergrad(None, quadratic(STEPS), th))(LOG_LR)
    return float(grad["log_lr"])


@pytest.mark.full
def test_persistent_evolution_has_no_bias_where_truncation_has():
    options = {"pairs": 512, "sigma": 0.01}
    mean, error = replicated(in_windows("pes", "particles", **options))
    assert error < 0.01 * abs(exact())
    assert abs(mean - exact()) <= 4 * error
    truncated = float(jax.jit(in_windows("reverse", "carry"))(jax.random.key(0)))
    assert abs(truncated - exact()) > 20 * error
    assert abs(truncated / exact() - 1) > 0.4
    mean, error = replicated(in_windows("es", "carry", **options))
    assert abs(mean - exact()) > 20 * error
    assert abs(mean - truncated) <= 4 * error


@pytest.mark.full
def test_evolution_over_the_whole_loop_has_no_bias_either():
    def run(key):
        _, grad, _ = hypergrad(
            None, quadratic(STEPS), LOG_LR, mode="es", key=key, pairs=512, sigma=0.01
        )
        return grad["log_lr"]

    mean, error = replicated(run)
    assert abs(mean - exact()) <= 4 * error


def cubic(theta, w):
    return jnp.sum(w["x"] ** 3) + w["y"] ** 2


def passing(n=2):
    """A loop that ends at theta."""
    return InnerProblem(
        init=lambda theta: jax.tree.map(jnp.zeros_like, theta),
        step=lambda theta, w, t: jax.tree.map(lambda x, w: w + x / n, theta, w),
        n=n,
    )


@pytest.mark.full
def test_evolution_estimates_the_gradient_of_the_smoothed_loss():
    theta = {"x": jnp.array([1.0, -0.5]), "y": jnp.array(2.0, jnp.float32)}
    sigma = 0.5
    value, grad, info = jax.jit(
        lambda key: hypergrad(
            cubic, passing(), theta, mode="es", key=key, pairs=200_000, sigma=sigma
        )
    )(jax.random.key(2))
    error = info["standard_error"]
    # The mean of (x + sigma e)**3 is x**3 + 3 sigma**2 x.
    smoothed = 3 * theta["x"] ** 2 + 3 * sigma**2
    assert np.all(np.abs(grad["x"] - smoothed) <= 4 * error["x"])
    assert np.all(np.abs(grad["x"] - 3 * theta["x"] ** 2) > 20 * error["x"])
    assert abs(grad["y"] - 4.0) <= 4 * error["y"]
    assert grad["y"].dtype == error["y"].dtype == jnp.float32
    np.testing.assert_allclose(value, cubic(theta, theta), rtol=1e-6)
    np.testing.assert_allclose(info["carry"]["x"], theta["x"], rtol=1e-12)


def test_the_reported_error_is_that_of_independent_calls():
    def run(key):
        theta = {"x": jnp.array([1.0, -0.5]), "y": jnp.array(2.0)}
        _, grad, info = hypergrad(
            cubic, passing(), theta, mode="es", key=key, pairs=50, sigma=0.1
        )
        return grad["x"], info["standard_error"]["x"]

    grads, errors = jax.jit(jax.vmap(run))(jax.random.split(jax.random.key(3), 2000))
    # A standard deviation from 2000 values has itself an error of 1.6 %.
    np.testing.assert_allclose(
        jnp.std(grads, axis=0), jnp.sqrt(jnp.mean(errors**2, axis=0)), rtol=0.08
    )


@pytest.mark.full
def test_two_windows_by_hand():
    inner, sigma, pairs = quadratic(WINDOW), 0.1, 3
    call = jax.jit(
        lambda key, start: hypergrad(
            None,
            inner,
            LOG_LR,
            mode="pes",
            key=key,
            start=start,
            pairs=pairs,
            sigma=sigma,
        )
    )
    one, two = jax.random.split(jax.random.key(4))
    _, _, first = call(one, None)
    value, grad, second = call(two, first["particles"])
    xi = second["particles"].total["log_lr"]
    eps = [first["particles"].total["log_lr"], xi - first["particles"].total["log_lr"]]
    np.testing.assert_allclose(jnp.std(jnp.stack(eps)), sigma, rtol=0.9)

    def episode(lrs):
        w, total = jnp.ones(3), 0.0
        for lr in lrs:
            total = 0.0  # only the last window's losses count
            for _ in range(WINDOW):
                w = w - lr * CURVATURES * w
                total = total + 0.5 * jnp.sum(CURVATURES * w**2)
        return total

    estimates, losses = [], []
    for i in range(pairs):
        up = episode([jnp.exp(LOG_LR["log_lr"] + e[i]) for e in eps])
        down = episode([jnp.exp(LOG_LR["log_lr"] - e[i]) for e in eps])
        estimates.append(xi[i] * (up - down) / (2 * sigma**2))
        losses += [up, down]
    np.testing.assert_allclose(grad["log_lr"], np.mean(estimates), rtol=1e-10)
    np.testing.assert_allclose(
        second["standard_error"]["log_lr"],
        np.std(estimates, ddof=1) / pairs**0.5,
        rtol=1e-8,
    )
    np.testing.assert_allclose(value, np.mean(losses), rtol=1e-12)
    assert int(second["particles"].t) == 2 * WINDOW


@pytest.mark.full
def test_the_first_window_is_plain_evolution():
    for mode in ("es", "pes"):
        _, grad, _ = hypergrad(
            None,
            quadratic(3),
            LOG_LR,
            mode=mode,
            key=jax.random.key(5),
            pairs=4,
            sigma=0.1,
        )
        if mode == "es":
            expected = grad
    np.testing.assert_allclose(grad["log_lr"], expected["log_lr"], rtol=1e-13)


@pytest.mark.full
@pytest.mark.parametrize("mode", ["es", "pes"])
def test_other_keys_draw_other_perturbations(mode):
    def run(seed):
        _, grad, _ = hypergrad(
            None,
            quadratic(2),
            LOG_LR,
            mode=mode,
            key=jax.random.key(seed),
            pairs=2,
            sigma=0.1,
        )
        return float(grad["log_lr"])

    assert run(0) == run(0) != run(1)


@pytest.mark.full
def test_a_loss_without_derivative():
    # Counts of steps: its derivative is zero almost everywhere.
    inner = InnerProblem(
        init=lambda theta: jnp.float32(0),
        step=lambda theta, w, t: w + (theta > 0.1 * t).astype(jnp.float32),
        n=20,
    )
    outer = lambda theta, w: w
    theta = jnp.float32(0.95)
    assert float(hypergrad(outer, inner, theta)[1]) == 0.0
    _, grad, info = hypergrad(
        outer, inner, theta, mode="es", key=jax.random.key(6), pairs=4000, sigma=0.2
    )
    # Each threshold contributes the density of the perturbed theta there.
    density = jax.scipy.stats.norm.pdf(0.1 * jnp.arange(20), theta, 0.2)
    assert abs(grad - jnp.sum(density)) <= 4 * info["standard_error"]


def test_nothing_flows_back_to_the_particles():
    call = lambda start: hypergrad(
        None, quadratic(2), LOG_LR, mode="pes", start=start, **TWO
    )
    particles = call(None)[2]["particles"]

    def total(xi):
        moved = particles._replace(total={"log_lr": xi})
        value, grad, _ = call(moved)
        return value + grad["log_lr"]

    value, slope = jax.value_and_grad(total)(particles.total["log_lr"])
    assert not np.any(slope) and value != total(2 * particles.total["log_lr"])
