"""Test accuracy after training on wrong labels, by arm."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments.harness.store import Store
from experiments.studies import dense_nets, programs, small_data
from experiments.studies.programs import Labelled
from experiments.studies.wrong_labels import networks
from experiments.studies.wrong_labels.config import Config
from jaxopt_lab.layers.activation.nested_dropout import prefix_logits
from jaxopt_lab.recipes import init_co_teaching, make_co_teaching_step
from jaxopt_lab.training import init_state, make_train_step
from jaxopt_lab.transforms.sharpness import sam

PLAIN, DROPOUT, SAM = "cross-entropy", "dropout", "SAM"
NESTED, TAUGHT = "nested dropout", "nested dropout, co-teaching"


class Measured(NamedTuple):
    """Everything that is measured.

    Attributes:
      accuracy: of the test at the end, ``(seeds,)`` by arm; of nested dropout with the
        number of features that the validation chose.
      prefixes: accuracy of nested dropout with every number of features,
        ``(features, seeds)``.
      kept: the number that was chosen, ``(seeds,)``.
    """

    accuracy: dict[str, np.ndarray]
    prefixes: np.ndarray
    kept: np.ndarray


def flipped(key: jax.Array, labels: jax.Array, share: float) -> jax.Array:
    """Labels of which each is of another class with a probability.

    Args:
      key: PRNG key.
      labels: of ten classes.
      share: the probability.

    Returns:
      Labels.
    """
    keys = jax.random.split(key)
    wrong = jax.random.uniform(keys[0], labels.shape) < share
    shift = jax.random.randint(keys[1], labels.shape, 1, 10)
    return jnp.where(wrong, (labels + shift) % 10, labels)


def measure(config: Config, store: Store) -> Measured:
    """Train every arm; see ``Experiment.measure``."""
    data = small_data.all_digits()
    rows = store.group("runs")

    def row(name: str, run: Any) -> dict[str, np.ndarray]:
        own = lambda key, x, y: run(key, Labelled(x, y), config)
        take = lambda: programs.over_seeds(own, config, *data, loop=True)
        return rows.measured(name, take)

    plain, nested = row("one network", _plain), row("nested", _nested)
    prefixes, kept = nested.pop("prefixes"), nested.pop("kept")
    return Measured({**plain, **nested}, prefixes.T, kept)


def _sets(key: jax.Array, data: Labelled, config: Config) -> tuple[Labelled, ...]:
    """Validation, test, and the batches of all steps."""
    keys = jax.random.split(key, 3)
    train, val, test = small_data.parts(keys[0], data, config.train, config.validation)
    own = jax.random.split(keys[1])
    train, val = (
        x._replace(labels=flipped(k, x.labels, config.wrong))
        for k, x in zip(own, (train, val), strict=True)
    )
    places = programs.picks(keys[2], config.steps, config.batch, config.train)
    return val, test, small_data.picked(train, places)


def _named(batches: Labelled, steps: slice) -> dict[str, jax.Array]:
    return {"image": batches.inputs[steps], "label": batches.labels[steps]}


def _plain(key: jax.Array, data: Labelled, config: Config) -> dict[str, jax.Array]:
    """Accuracies of the arms that differ by two numbers alone."""
    start, own, sets = jax.random.split(key, 3)
    _, test, batches = _sets(sets, data, config)

    def one(given: tuple[jax.Array, jax.Array]) -> jax.Array:
        dropout, rho = given
        network = networks.plain(config.width, dropout)
        # SAM of the radius 0 is the optimizer alone.
        tx = optax.chain(sam(rho), optax.adam(config.rate))
        step = make_train_step(networks.loss(network), tx)
        state = init_state(tx, *_started(network, start, own))
        state, _ = jax.lax.scan(step, state, _named(batches, slice(None)))
        scores, _ = network.apply(state.params, {}, test.inputs, train=False)
        return dense_nets.accuracy(scores, test.labels)

    dropped = jnp.array([0.0, config.dropout, 0.0])
    found = jax.lax.map(one, (dropped, jnp.array([0.0, 0.0, config.rho])))
    return dict(zip((PLAIN, DROPOUT, SAM), found, strict=True))


def _started(network: Any, start: jax.Array, own: jax.Array) -> tuple[Any, jax.Array]:
    return network.init(start)[0], own


def _nested(key: jax.Array, data: Labelled, config: Config) -> dict[str, jax.Array]:
    """Accuracies of nested dropout, and of two such networks that teach each other."""
    first, own, sets, second = jax.random.split(key, 4)
    val, test, batches = _sets(sets, data, config)
    network, tx = networks.nested(config.width, config.scale), optax.adam(config.rate)
    step = make_train_step(networks.loss(network), tx)
    cut = config.steps - config.last
    begin, end = (_named(batches, s) for s in (slice(cut), slice(cut, None)))

    def trained(start: jax.Array) -> Any:
        params, state = network.init(start)
        return jax.lax.scan(step, init_state(tx, params, own, state), begin)[0]

    every = jax.lax.map(trained, jnp.stack([first, second]))
    states = [jax.tree.map(lambda x, i=i: x[i], every) for i in range(2)]
    alone, _ = jax.lax.scan(step, states[0], end)
    accuracies = lambda params, s: dense_nets.accuracy(
        prefix_logits(networks.features(params, s.inputs), params["head"]), s.labels
    )
    # Of equal accuracies fewer features are better.
    number = jnp.arange(1, config.width + 1)
    best = lambda params: 1 + jnp.argmax(accuracies(params, val) - 1e-5 * number)
    kept, prefixes = best(alone.params), accuracies(alone.params, test)
    teaching = make_co_teaching_step(network, tx, forget=config.wrong)
    both = init_co_teaching(
        tx,
        states[0].params,
        states[1].params,
        own,
        first_state={"kept": best(states[0].params)},
        second_state={"kept": best(states[1].params)},
    )
    both, _ = jax.lax.scan(teaching, both, end)
    params: Any = both.params
    logits = [
        network.apply(own, {"kept": best(own)}, test.inputs, train=False)[0]
        for own in params.values()
    ]
    return {
        NESTED: prefixes[kept - 1],
        TAUGHT: dense_nets.accuracy(logits[0] + logits[1], test.labels),
        "prefixes": prefixes,
        "kept": kept,
    }
