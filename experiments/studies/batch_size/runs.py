"""Runs with batches of a controller, until they have seen as many examples."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from experiments.studies import dense_nets
from experiments.studies.batch_size.config import Config
from experiments.studies.batch_size.growth import TX
from jaxopt_lab.controllers import rate_by_examples


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
    init = jax.jit(lambda key: dense_nets.dense_params(key, *sizes))
    judge = jax.jit(
        lambda p, test: dense_nets.accuracy(dense_nets.dense(p, test[0]), test[1])
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
    opt_state = TX.init(params)
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
