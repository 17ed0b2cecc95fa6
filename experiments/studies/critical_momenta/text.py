"""A small LSTM on the characters of a text."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments.studies.critical_momenta import networks
from experiments.studies.critical_momenta.config import Config
from experiments.studies.critical_momenta.methods import Row
from jaxopt_lab.data import Dataset
from jaxopt_lab.losses import classification as losses
from jaxopt_lab.training import seed_keys

_TEST_WINDOWS = 64


def test_losses(row: Row, dataset: Dataset, config: Config) -> np.ndarray:
    """Loss on held-out windows of the text after training.

    Args:
      row: the optimizer, with a cosine to zero.
      dataset: windows of the text.
      config: steps, step sizes, seeds.

    Returns:
      In nats per character, shape ``(rates, 2 * seeds)``.
    """
    model = networks.language(config.text_width, config.context, dataset.num_classes)
    loss_fn, metrics = losses.next_token_loss(model), losses.next_token_metrics(model)
    rng = np.random.default_rng(0)
    seeds = 2 * config.seeds
    shape = (seeds, config.text_steps, config.batch_size)
    chosen = rng.integers(0, len(dataset.train["inputs"]), shape)
    train = {name: jnp.asarray(x[chosen]) for name, x in dataset.train.items()}
    test = {name: jnp.asarray(x[:_TEST_WINDOWS]) for name, x in dataset.test.items()}

    def run(rate: jax.Array, key: jax.Array, batches: Any) -> jax.Array:
        # optax asks for a float, and takes a traced scalar.
        schedule = optax.cosine_decay_schedule(rate, config.text_steps)  # type: ignore[arg-type]
        end, _ = networks.follow(model, loss_fn, row.make(schedule), key, batches)
        sums = metrics(end.params, end.model_state, test)
        return sums["loss"] / sums["weight"]

    over_seeds = jax.vmap(run, (None, 0, 0))
    program = jax.jit(jax.vmap(over_seeds, (0, None, None)))
    rates = jnp.asarray(config.text_rates, jnp.float32)
    return np.asarray(program(rates, seed_keys(config.first_seed, seeds), train))
