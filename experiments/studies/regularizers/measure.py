"""Test accuracy for every regularizer, strength and size of data."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments.harness.store import Store
from experiments.studies import dense_nets, programs, small_data
from experiments.studies.programs import Labelled
from experiments.studies.regularizers.config import PLAIN, STRENGTHS, Config
from jaxopt_lab.losses import shade

_PENALTY = shade()


class Measured(NamedTuple):
    """Everything that is measured.

    Attributes:
      accuracy: of the test, ``(strengths, counts, seeds)`` by regularizer.
    """

    accuracy: dict[str, np.ndarray]


class Strengths(NamedTuple):
    """The strengths of all regularizers in one run, of which at most one is not 0.

    Attributes:
      penalty: weight of SHADE.
      decay: of weights, decoupled from Adam.
      dropped: share of hidden units.
    """

    penalty: Any
    decay: Any
    dropped: Any


def settings() -> tuple[Strengths, dict[str, slice]]:
    """Every setting, and the places of each regularizer among them.

    Returns:
      Strengths with arrays ``(settings,)``, and slices by name.
    """
    rows, places = [(0.0, 0.0, 0.0)], {PLAIN: slice(0, 1)}
    for i, (name, strengths) in enumerate(STRENGTHS.items()):
        places[name] = slice(len(rows), len(rows) + len(strengths))
        rows += [tuple(s if i == j else 0.0 for j in range(3)) for s in strengths]
    return Strengths(*np.array(rows, np.float32).T), places


def measure(config: Config, store: Store) -> Measured:
    """Train with every setting; see ``Experiment.measure``."""
    data = small_data.all_digits()
    strengths, places = settings()
    run = lambda key, x, y, s: _run(key, Labelled(x, y), s, config)
    take = lambda: {
        "accuracy": programs.over_seeds(run, config, *data, strengths, loop=True)
    }
    found = store.group("runs").measured("all settings", take)["accuracy"]
    accuracy = np.moveaxis(found, 0, -1)
    return Measured({name: accuracy[at] for name, at in places.items()})


def _run(
    key: jax.Array, data: Labelled, strengths: Strengths, config: Config
) -> jax.Array:
    """Accuracies ``(settings, counts)`` of one seed, all from one start."""
    keys = jax.random.split(key, 5)
    data = small_data.noisy(keys[0], data, config.noise)
    train, test = small_data.parts(keys[1], data, max(config.counts))
    start = dense_nets.dense_params(keys[2], 64, config.width, 10)
    shape = (config.batch, config.width)

    def one(own: Strengths, count: jax.Array) -> jax.Array:
        places = jax.random.randint(
            keys[3], (config.steps, config.batch), 0, count, jnp.int32
        )
        tx = optax.chain(
            optax.scale_by_adam(),
            optax.add_decayed_weights(own.decay),
            optax.scale_by_learning_rate(config.rate),
        )

        def loss(params: Any, state: Any, given: Any) -> tuple[jax.Array, Any]:
            at, key = given
            batch = small_data.picked(train, at)
            before = dense_nets.dense(params[:1], batch.inputs)
            penalties, state = _PENALTY.apply(state, before)
            kept = jax.random.uniform(key, shape) >= own.dropped
            hidden = jnp.where(kept, jax.nn.relu(before) / (1 - own.dropped), 0)
            losses = optax.softmax_cross_entropy_with_integer_labels(
                dense_nets.dense(params[1:], hidden), batch.labels
            )
            return jnp.mean(losses + own.penalty * penalties), state

        state = _PENALTY.init(jnp.zeros(shape))
        given = places, jax.random.split(keys[4], config.steps)
        params, _ = programs.trained_with_state(loss, tx, start, state, given)
        return dense_nets.accuracy(dense_nets.dense(params, test.inputs), test.labels)

    counts = jnp.array(config.counts)
    # Not vmap: batched products take XLA minutes to compile.
    return jax.lax.map(
        lambda own: jax.lax.map(lambda count: one(own, count), counts), strengths
    )
