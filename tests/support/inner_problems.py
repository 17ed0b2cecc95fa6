"""Inner problems whose solutions and hypergradients are known."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from jaxopt_lab.bilevel import InnerProblem

FEATURES = 4


@functools.cache
def data(examples=24, seed=0):
    """Inputs with correlated columns and noisy targets, as constants."""
    random = np.random.default_rng(seed)
    mix = np.eye(FEATURES) + 0.3 * random.normal(size=(FEATURES, FEATURES))
    inputs = random.normal(size=(examples, FEATURES)) @ mix
    noise = random.normal(size=examples)
    return inputs, inputs @ np.arange(1.0, FEATURES + 1) + noise


def theta():
    """One log penalty for each weight."""
    return {"log_penalty": jnp.linspace(-1.5, -0.5, FEATURES)}


def outer(theta, w):
    """Depends on theta directly, too."""
    inputs, targets = data(seed=7)
    fit = jnp.mean((inputs @ w - targets) ** 2)
    return fit + 0.01 * jnp.sum(theta["log_penalty"] ** 2)


def ridge_objective(theta, w):
    inputs, targets = data()
    penalty = jnp.sum(jnp.exp(theta["log_penalty"]) * w**2)
    return 0.5 * jnp.mean((inputs @ w - targets) ** 2) + 0.5 * penalty


def logistic_objective(theta, w):
    inputs, targets = data()
    signs = np.sign(targets)
    penalty = jnp.sum(jnp.exp(theta["log_penalty"]) * w**2)
    return jnp.mean(jax.nn.softplus(-signs * (inputs @ w))) + 0.5 * penalty


OBJECTIVES = {"ridge": ridge_objective, "logistic": logistic_objective}


def descent(objective, n, learning_rate=0.4, **fields):
    """Gradient descent on an objective from zero."""

    def step(theta, w, t):
        return w - learning_rate * jax.grad(objective, argnums=1)(theta, w)

    return InnerProblem(
        init=lambda theta: jnp.zeros(FEATURES),
        step=step,
        n=n,
        objective=objective,
        **fields,
    )


def ridge_solution(theta):
    """The minimum of ``ridge_objective`` in closed form."""
    inputs, targets = data()
    m = inputs.shape[0]
    gram = inputs.T @ inputs / m + jnp.diag(jnp.exp(theta["log_penalty"]))
    return jnp.linalg.solve(gram, inputs.T @ targets / m)


def largest_curvature(objective, theta, w):
    return float(jnp.linalg.eigvalsh(jax.hessian(objective, 1)(theta, w))[-1])


def relative_error(got, expected):
    """Of two trees, by their largest entries."""
    pairs = zip(jax.tree.leaves(got), jax.tree.leaves(expected), strict=True)
    pairs = list(pairs)
    off = max(float(jnp.max(jnp.abs(a - b))) for a, b in pairs)
    return off / max(float(jnp.max(jnp.abs(b))) for _, b in pairs)


def central_difference(function, theta, step=1e-5):
    """The gradient of a scalar function, coordinate by coordinate, fourth order."""
    leaves, structure = jax.tree.flatten(jax.tree.map(jnp.asarray, theta))
    run = jax.jit(function)

    def at(i, j, shift):
        moved = list(leaves)
        moved[i] = leaves[i].ravel().at[j].add(shift).reshape(leaves[i].shape)
        return float(run(jax.tree.unflatten(structure, moved)))

    def slope(i, j):
        near = at(i, j, step) - at(i, j, -step)
        far = at(i, j, 2 * step) - at(i, j, -2 * step)
        return (8 * near - far) / (12 * step)

    grads = [
        jnp.array([slope(i, j) for j in range(x.size)]).reshape(x.shape)
        for i, x in enumerate(leaves)
    ]
    return jax.tree.unflatten(structure, grads)
