"""Errors of networks that take the noise from digits, at equal budgets."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments.harness.store import Store
from experiments.studies.bottlenecks.config import Config
from experiments.studies.programs import trained
from experiments.studies.samples import whole
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.data import load_digits
from jaxopt_lab.layers import hourglass, match_bottleneck

LIFTS = {"hourglass": "normal", "trained lift": "trained", "conventional": "identity"}
"""Lifts of ``hourglass``, by arm."""
ARMS = tuple(LIFTS)


class Shape(NamedTuple):
    """The sizes of a network.

    Attributes:
      skip: of the residual stream.
      bottleneck: of the blocks.
      depth: number of blocks.
      lift: of ``hourglass``.
    """

    skip: int
    bottleneck: int
    depth: int
    lift: str


class Measured(NamedTuple):
    """Mean squared errors by budget and arm, of the sizes that are best in validation.

    Attributes:
      errors: test errors, ``{budget: {arm: (seeds,)}}``.
      sizes: chosen sizes, ``{budget: {arm: (skip, bottleneck, depth)}}``.
    """

    errors: dict[str, dict[str, np.ndarray]]
    sizes: dict[str, dict[str, np.ndarray]]


def shapes(config: Config, budget: int, arm: str, features: int) -> list[Shape]:
    """The networks of an arm that fit a budget.

    Args:
      config: the size of the study.
      budget: largest number of trained parameters.
      arm: of ``ARMS``.
      features: numbers of an image.

    Returns:
      Their sizes, each with the widest bottleneck; those with none are left out.
    """
    lift = LIFTS[arm]
    factors = (1,) if arm == "conventional" else config.skips
    found = []
    for factor in factors:
        for depth in config.depths:
            skip = factor * features
            try:
                bottleneck = match_bottleneck(
                    budget, features, skip=skip, depth=depth, lift=lift
                )
            except InputError:
                continue
            found.append(Shape(skip, bottleneck, depth, lift))
    return found


def measure(config: Config, store: Store) -> Measured:
    """Train every network of every budget; see ``Experiment.measure``.

    Raises:
      InputError: no network of an arm fits a budget.
    """
    images = whole(load_digits())[0]
    x = jnp.asarray(images, jnp.float32).reshape(len(images), -1)
    x = x / jnp.max(x)
    seeds = jnp.arange(config.first_seed, config.first_seed + config.seeds)
    rows = store.group("runs")
    errors: dict[str, dict[str, np.ndarray]] = {}
    sizes: dict[str, dict[str, np.ndarray]] = {}
    for budget in config.budgets:
        errors[str(budget)], sizes[str(budget)] = {}, {}
        for arm in ARMS:
            every = shapes(config, budget, arm, x.shape[1])
            if not every:
                raise InputError(f"no network of arm {arm!r} fits budget={budget}")
            found = []
            for shape in every:
                run = jax.jit(jax.vmap(lambda s, own=shape: _run(config, own, x, s)))
                take = lambda run=run: {n: np.asarray(v) for n, v in run(seeds).items()}
                label = f"{budget} {arm} {shape.skip} {shape.depth}"
                found.append(rows.measured(label, take))
            means = [np.mean(row["validation"]) for row in found]
            best = int(np.argmin(means))
            errors[str(budget)][arm] = np.asarray(found[best]["test"])
            sizes[str(budget)][arm] = np.array(every[best][:3])
    return Measured(errors, sizes)


def _run(
    config: Config, shape: Shape, x: jax.Array, seed: jax.Array
) -> dict[str, jax.Array]:
    lift: Any = shape.lift
    net = hourglass(
        x.shape[1],
        skip=shape.skip,
        bottleneck=shape.bottleneck,
        depth=shape.depth,
        lift=lift,
    )
    keys = jax.random.split(jax.random.key(seed), 4)
    order = jax.random.permutation(keys[0], len(x))
    cut, end = config.train, config.train + config.validation
    noisy = x + config.noise * jax.random.normal(keys[1], x.shape)
    own = {"validation": order[cut:end], "test": order[end:]}

    def error(params: Any, at: jax.Array, noise: jax.Array) -> jax.Array:
        y = net.apply(params, {}, noise[at], train=True)[0]
        return jnp.mean((y - x[at]) ** 2)

    def loss(params: Any, key: jax.Array) -> jax.Array:
        which, other = jax.random.split(key)
        at = order[jax.random.randint(which, (config.batch,), 0, config.train)]
        fresh = config.noise * jax.random.normal(other, (config.batch, x.shape[1]))
        y = net.apply(params, {}, x[at] + fresh, train=True)[0]
        return jnp.mean((y - x[at]) ** 2)

    def errors(rate: jax.Array) -> dict[str, jax.Array]:
        tx = optax.chain(optax.scale_by_adam(), optax.scale_by_learning_rate(rate))
        steps = jax.random.split(keys[3], config.steps)
        params, _ = trained(loss, tx, net.init(keys[2])[0], steps)
        return {name: error(params, at, noisy) for name, at in own.items()}

    found = jax.lax.map(errors, jnp.asarray(config.rates))
    best = jnp.argmin(found["validation"])
    return {name: values[best] for name, values in found.items()}
