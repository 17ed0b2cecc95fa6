"""Residual perceptrons without norms: growth, accuracy, steepness."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments.harness.store import Store
from experiments.studies import dense_nets, programs
from experiments.studies.depth.config import Config
from jaxopt_lab.layers.block.residual_scale import residual_scale

ONE, ROOT, WHOLE, LEARNED, NORMED = ARMS = (
    "1",
    "1/sqrt n",
    "1/n",
    "skipinit",
    "1, layer norm",
)
"""Factors on the output of each of n modules; the last arm normalizes its input."""


def scales(modules: int) -> np.ndarray:
    """The scale of each arm at the start.

    Args:
      modules: n.

    Returns:
      ``(arms,)``.
    """
    kinds: Any = ("1", "1/sqrt_n", "1/n", "1", "1")
    found = np.array([residual_scale(kind, depth=modules) for kind in kinds])
    # What SkipInit learns begins at 0.
    return np.where(np.array(ARMS) == LEARNED, 0.0, found)


def first(key: jax.Array, arm: jax.Array, modules: int, width: int) -> dict[str, Any]:
    """He's weights of all modules, whose outputs have the mean square of their input.

    Args:
      key: PRNG key.
      arm: place in ``ARMS``, traced.
      modules: n.
      width: of the perceptron.

    Returns:
      The parameters; ``scale`` of each module, which SkipInit alone trains.
    """
    shapes = ((64, width), (modules, width, width), (modules, width, width))
    lift, inner, outer = dense_nets.normals(key, *shapes)
    start = jnp.asarray(scales(modules), jnp.float32)[arm]
    return {
        "lift": lift * 64**-0.5,
        "inner": inner * (2 / width) ** 0.5,
        "outer": outer * width**-0.5,
        "scale": jnp.full(modules, start),
        "head": jnp.zeros((width, 10)),
    }


def outputs(params: Any, x: jax.Array, arm: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Scores, and the logarithm of the growth of the root mean square.

    Args:
      params: of ``first``.
      x: ``(examples, 64)``.
      arm: place in ``ARMS``, traced.

    Returns:
      ``(examples, 10)``, and a number.
    """
    normed, learned = arm == ARMS.index(NORMED), arm == ARMS.index(LEARNED)
    scale = params["scale"]
    scale = jnp.where(learned, scale, jax.lax.stop_gradient(scale))
    before = x @ params["lift"]

    def module(x: jax.Array, own: Any) -> Any:
        inner, outer, scale = own
        h = jnp.where(normed, jax.nn.standardize(x, epsilon=1e-5), x)
        return x + scale * (jax.nn.relu(h @ inner) @ outer), None

    after, _ = jax.lax.scan(module, before, (params["inner"], params["outer"], scale))
    square = lambda x: jnp.log(jnp.mean(jnp.square(x)))
    return after @ params["head"], (square(after) - square(before)) / 2


def measure(config: Config, store: Store) -> dict[int, dict[str, np.ndarray]]:
    """Train every arm at every rate, for every number of modules.

    See ``Experiment.measure``.

    Returns:
      By number of modules, ``(seeds, arms)`` each: ``growth``, the logarithm of the
      growth of the root mean square of the signal at the start; ``accuracy``, on the
      test set at the rate that the examples kept aside choose; ``slope``, the logarithm
      of the mean length of the derivative of the scores in random directions, at that
      rate.
    """
    rows = store.group("residuals")
    axes = range(len(ARMS)), config.residual_rates
    found = {}
    for modules in config.modules:
        run = lambda key, point, *data, n=modules: _run(key, point, data, n, config)
        take = lambda run=run: programs.over_grid(run, config, axes, *programs.digits())
        row = rows.measured(f"{modules} modules", take)
        best = np.argmax(row["kept aside"], axis=-1)[..., None]
        at = lambda x, best=best: np.take_along_axis(x, best, axis=-1)[..., 0]
        found[modules] = {name: at(row[name]) for name in _MEASURES}
    return found


_MEASURES = ("growth", "accuracy", "slope")


def _run(key: jax.Array, point: Any, data: Any, modules: int, config: Config) -> Any:
    (arm, rate), (train, test) = point, data
    start, order, ways = jax.random.split(key, 3)
    params = first(start, arm, modules, config.residual_width)
    examples = len(train.labels) * 4 // 5
    growth = outputs(params, train.inputs[:examples], arm)[1]

    def loss(params: Any, index: jax.Array) -> jax.Array:
        scores, _ = outputs(params, train.inputs[index], arm)
        return dense_nets.mean_cross_entropy(scores, train.labels[index])

    steps, batch = config.residual_steps, config.residual_batch
    index = programs.picks(order, steps, batch, examples)
    params, _ = programs.trained(loss, optax.adam(rate), params, index)
    scores = lambda x: outputs(params, x, arm)[0]
    right = lambda x, labels: dense_nets.accuracy(scores(x), labels)
    way = jax.random.normal(ways, test.inputs.shape)
    way = way / jnp.linalg.norm(way, axis=-1, keepdims=True)
    turned = jax.jvp(scores, (test.inputs,), (way,))[1]
    return {
        "growth": growth,
        "kept aside": right(train.inputs[examples:], train.labels[examples:]),
        "accuracy": right(test.inputs, test.labels),
        "slope": jnp.log(jnp.mean(jnp.linalg.norm(turned, axis=-1))),
    }
