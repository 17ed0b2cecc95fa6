"""AdaGrad with batches of a controller, of as many examples for each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments.studies import programs
from experiments.studies.batch_size.config import Config
from experiments.studies.programs import Labelled
from jaxopt_lab.controllers import (
    constant,
    gradient_variance,
    norm_test,
    rate_by_examples,
    variance_of_groups,
)
from jaxopt_lab.losses.classification import cross_entropy

GROWING = "growing"


def controllers(config: Config) -> dict[str, Any]:
    """The rules of the batch, by arm.

    Args:
      config: the size of the study.

    Returns:
      Controllers of the number of micro-batches.
    """
    sizes = {"micro_batch": config.micro_batch, "start_batch": config.micro_batch}
    found = {GROWING: norm_test(config.eta, max_batch=config.max_batch, **sizes)}
    for batch in config.fixed:
        found[f"fixed {batch}"] = constant(
            micro_batch=config.micro_batch, start_batch=batch
        )
    return found


def make_step(config: Config) -> Callable[..., Any]:
    """The step, one program for batches of all sizes.

    Args:
      config: the size of the study.

    Returns:
      ``step(params, opt_state, data, index, count, rate)``: ``index`` is ``(most,
      micro_batch)``, of which the first ``count`` rows are the batch. Gives the new
      parameters and optimizer state, and the statistics of the norm test.
    """
    most = config.max_batch // config.micro_batch
    tx = optax.scale_by_rss(0.1, 1e-10)

    def loss(params: Any, x: jax.Array, label: jax.Array) -> jax.Array:
        return cross_entropy(programs.dense(params, x), label)

    @jax.jit
    def step(
        params: Any,
        opt_state: Any,
        data: Labelled,
        index: jax.Array,
        count: jax.Array,
        rate: jax.Array,
    ) -> Any:
        def add(i: jax.Array, carry: Any) -> Any:
            total, variances, squares = carry
            of = jax.vmap(jax.grad(loss), (None, 0, 0))
            each = of(params, data.inputs[index[i]], data.labels[index[i]])
            found = gradient_variance(each)
            total = jax.tree.map(lambda t, g: t + jnp.mean(g, axis=0), total, each)
            variances = variances.at[i].set(found["variance"])
            return total, variances, squares.at[i].set(found["grad_norm_sq"])

        zeros = jax.tree.map(jnp.zeros_like, params)
        first = zeros, jnp.zeros(most), jnp.zeros(most)
        total, variances, squares = jax.lax.fori_loop(0, count, add, first)
        grads = jax.tree.map(lambda t: t / count, total)
        # Rows beyond the batch are zeros: their means are those of the batch times
        # its part of all rows.
        part = count / most
        square = optax.tree.norm(grads, squared=True)
        stats = variance_of_groups(variances / part, squares / part, square)
        updates, opt_state = tx.update(grads, opt_state, params)
        params = jax.tree.map(lambda p, u: p - rate * u, params, updates)
        return params, opt_state, stats

    return step


def runs(
    step: Callable[..., Any], controller: Any, data: Any, config: Config
) -> dict[str, np.ndarray]:
    """Train for every seed with every rate.

    Args:
      step: of ``make_step``.
      controller: of the batch.
      data: for training and for the test.
      config: the size of the study.

    Returns:
      ``accuracy``, ``steps`` and ``last``, ``(seeds, rates)``.
    """
    sizes = (data[0].inputs.shape[1], config.width, 10)
    init = jax.jit(lambda key: programs.dense_params(key, *sizes))
    judge = jax.jit(
        lambda p, test: programs.accuracy(programs.dense(p, test[0]), test[1])
    )
    found: dict[str, list[Any]] = {"accuracy": [], "steps": [], "last": []}
    for seed in range(config.first_seed, config.first_seed + config.seeds):
        params = init(jax.random.key(seed))
        for rate in config.rates:
            after, steps, last = _run(
                step, controller, params, data, seed, rate, config
            )
            found["accuracy"].append(float(judge(after, data[1])))
            found["steps"].append(steps)
            found["last"].append(last)
    shape = (config.seeds, len(config.rates))
    return {name: np.reshape(values, shape) for name, values in found.items()}


def _run(
    step: Callable[..., Any],
    controller: Any,
    params: Any,
    data: Any,
    seed: int,
    rate: float,
    config: Config,
) -> tuple[Any, int, int]:
    """The parameters, the number of steps, and the last batch."""
    most = config.max_batch // config.micro_batch
    # The order of the examples is that of the seed, whatever the batches are.
    rng = np.random.default_rng(seed)
    rows = -(-config.budget // config.micro_batch) + most
    order = rng.integers(0, len(data[0].labels), (rows, config.micro_batch))
    order = order.astype(np.int32)
    rates = rate_by_examples(rate, total_examples=config.budget)
    opt_state = optax.scale_by_rss(0.1, 1e-10).init(params)
    batches, learning = controller.init(), rates.init()
    decision, batches = controller.decide(
        {"variance": 0.0, "grad_norm_sq": 1.0}, batches
    )
    now, seen, steps, last = 0.0, 0, 0, 0
    while seen < config.budget:
        count = decision["accumulation"]
        place = seen // config.micro_batch
        last = count * config.micro_batch
        seen, steps = seen + last, steps + 1
        now, learning = rates.decide({"batch": last}, learning)
        params, opt_state, stats = step(
            params,
            opt_state,
            data[0],
            order[place : place + most],
            np.int32(count),
            np.float32(now["learning_rate"]),
        )
        decision, batches = controller.decide(jax.device_get(stats), batches)
    return params, steps, last
