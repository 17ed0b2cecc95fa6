"""Three minima at which SGD is started: matrices, a linear and a real network."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree

from experiments.studies.stability.config import Config
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.curvature import (
    SampleHessians,
    Sampling,
    compress,
    from_factors,
    ggn_factors,
    ggn_hessians,
)
from jaxopt_lab.curvature.stability.simulator import Step, batch_weights, linear_step

MakeStep = Callable[[jax.Array, jax.Array, Sampling], Step]


class Problem(NamedTuple):
    """A minimum, and SGD around it.

    Attributes:
      name: heading.
      hessians: those of single examples.
      step: ``step(learning_rate, batch_size, sampling)`` gives a step of SGD for
        directions; of the linearised dynamics, or of the network itself.
      draw: draws a direction in the range of the Hessian.
      batch_sizes: batch sizes to try.
      runs: directions of a simulation.
      steps: its steps.
    """

    name: str
    hessians: SampleHessians
    step: MakeStep
    draw: Callable[[jax.Array], jax.Array]
    batch_sizes: tuple[int, ...]
    runs: int
    steps: int


def groups(config: Config) -> Problem:
    """Groups of identical Hessians of rank 1, orthogonal between the groups.

    Args:
      config: the size of the experiment.

    Returns:
      The problem; the partial converse is exact for it.

    Raises:
      InputError: the groups do not divide the examples.
    """
    n, directions, curvature = config.groups
    if n % directions:
        raise InputError(f"{directions} groups do not divide {n} examples")
    basis = np.repeat(np.eye(directions), n // directions, axis=0)
    hessians = from_factors(jnp.asarray(curvature**0.5 * basis[:, None, :]))
    return _linear("groups", hessians, config.groups_batch_sizes, config)


def two_layer_linear(config: Config) -> Problem:
    """A linear network of two layers, at zero residual.

    Args:
      config: the size of the experiment.

    Returns:
      The problem, its Hessians from the Gram matrix of the network's factors.
    """
    rng = np.random.default_rng(config.first_seed)
    inputs, hidden, outputs = config.linear_sizes
    params = {
        "one": jnp.asarray(rng.normal(size=(inputs, hidden))),
        "two": jnp.asarray(rng.normal(size=(hidden, outputs))),
    }
    x = jnp.asarray(rng.normal(size=(config.linear_examples, inputs)))
    hessians = ggn_hessians(
        lambda p, x: x @ p["one"] @ p["two"], params, x, output_loss="squared_error"
    )
    name, sizes = "two-layer linear network", config.linear_batch_sizes
    return _linear(name, compress(hessians), sizes, config)


def _linear(
    name: str, hessians: SampleHessians, batch_sizes: tuple[int, ...], config: Config
) -> Problem:
    shape, dtype = hessians.eigenvalues.shape, hessians.eigenvalues.dtype
    return Problem(
        name,
        hessians,
        lambda rate, b, sampling: linear_step(hessians, rate, b, sampling=sampling),
        lambda key: jax.random.normal(key, shape, dtype),
        batch_sizes,
        config.runs,
        config.steps,
    )


def mlp(params: Any, x: jax.Array) -> jax.Array:
    """A perceptron with one hidden layer of tanh.

    Args:
      params: ``one``, ``bias``, ``two``.
      x: flat images, shape ``(n, pixels)``.

    Returns:
      Outputs, shape ``(n, classes)``.
    """
    return jnp.tanh(x @ params["one"] + params["bias"][None]) @ params["two"]


def interpolate(params: Any, x: jax.Array, y: jax.Array) -> tuple[Any, float]:
    """Fit the targets exactly, by damped Gauss-Newton steps in Gram space.

    Args:
      params: where to begin; with more parameters than targets.
      x: inputs.
      y: targets, shape ``(n, classes)``.

    Returns:
      Parameters, and the largest residual that is left.
    """
    start, unravel = ravel_pytree(params)

    def residuals(w: jax.Array) -> jax.Array:
        return (mlp(unravel(w), x) - y).ravel()

    @jax.jit
    def step(w: jax.Array, damping: jax.Array) -> jax.Array:
        jacobian, r = jax.jacrev(residuals)(w), residuals(w)
        gram = jacobian @ jacobian.T
        shift = damping * jnp.trace(gram) / r.size * jnp.eye(r.size)
        return w - jacobian.T @ jnp.linalg.solve(gram + shift, r)

    w, damping, loss = start, 0.1, float(jnp.sum(residuals(start) ** 2))
    for _ in range(200):
        moved = step(w, jnp.asarray(damping))
        new = float(jnp.sum(residuals(moved) ** 2))
        if new < loss:
            w, loss, damping = moved, new, damping / 4
        else:
            damping *= 8
        if loss < 1e-26 or damping > 1e8:
            break
    return unravel(w), float(jnp.max(jnp.abs(residuals(w))))


def network(config: Config, images: np.ndarray, labels: np.ndarray) -> Problem:
    """A network that interpolates a few digits; the steps are its own SGD.

    A direction d stands for the parameters ``w + perturbation * d``; the step is one
    of plain SGD there on the squared error, read as a direction again. So the
    simulation follows the network, not its linearisation, through as many steps as
    are wanted, without leaving the minimum.

    Args:
      config: the size of the experiment.
      images: digits of 8 x 8 pixels, shape ``(N, 8, 8, 1)``.
      labels: their classes.

    Returns:
      The problem.

    Raises:
      InputError: the network does not fit the digits.
    """
    n, width = config.network_examples, config.network_width
    rng = np.random.default_rng(config.first_seed)
    chosen = rng.permutation(len(images))[:n]
    # Means of 2 x 2 pixels make a network of a third of the size.
    pooled = np.asarray(images)[chosen].reshape(n, 4, 2, 4, 2).mean(axis=(2, 4))
    x = jnp.asarray(pooled.reshape(n, 16), jnp.float64)
    y = jax.nn.one_hot(jnp.asarray(labels[chosen]), 10, dtype=jnp.float64)
    pixels = x.shape[1]
    first = {
        "one": jnp.asarray(rng.normal(size=(pixels, width)) / pixels**0.5),
        "bias": jnp.zeros(width, jnp.float64),
        "two": jnp.asarray(rng.normal(size=(width, 10)) / width**0.5),
    }
    params, residual = interpolate(first, x, y)
    if residual > 1e-3 * config.perturbation:
        raise InputError(
            f"the network leaves a residual of {residual:.1e}; give it more width "
            "or fewer examples"
        )
    hessians = compress(ggn_hessians(mlp, params, x, output_loss="squared_error"))
    point, unravel = ravel_pytree(params)
    rows = ggn_factors(mlp, params, x, output_loss="squared_error")
    flat = jax.vmap(jax.vmap(lambda row: ravel_pytree(row)[0]))(rows)
    flat = flat.reshape(-1, point.size)
    far = config.perturbation

    def loss(w: jax.Array, weights: jax.Array) -> jax.Array:
        errors = jnp.sum((mlp(unravel(w), x) - y) ** 2, axis=1)
        return jnp.sum(weights * errors) / 2

    def make_step(rate: jax.Array, batch: jax.Array, sampling: Sampling) -> Step:
        def step(key: jax.Array, direction: jax.Array) -> jax.Array:
            weights = batch_weights(key, n, batch, sampling)
            gradient = jax.grad(loss)(point + far * direction, weights)
            return direction - rate * gradient / far

        return step

    def draw(key: jax.Array) -> jax.Array:
        return jax.random.normal(key, (flat.shape[0],), flat.dtype) @ flat

    return Problem(
        "network on digits",
        hessians,
        make_step,
        draw,
        config.network_batch_sizes,
        config.network_runs,
        config.network_steps,
    )
