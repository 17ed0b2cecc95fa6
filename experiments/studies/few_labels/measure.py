"""Test accuracy with few labels, by arm."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments.harness.store import Store
from experiments.studies import dense_nets, programs, small_data
from experiments.studies.few_labels import networks
from experiments.studies.few_labels.config import Config
from experiments.studies.programs import Labelled
from jaxopt_lab.data import views
from jaxopt_lab.losses import shrinkmatch
from jaxopt_lab.recipes import (
    init_fixmatch,
    init_hybridnet,
    make_fixmatch_step,
    make_hybridnet_step,
)

SUPERVISED, FIXMATCH, SHRINKMATCH = "supervised", "FixMatch", "ShrinkMatch"
TEACHER, HYBRIDNET = "mean teacher", "HybridNet"


class Measured(NamedTuple):
    """Everything that is measured.

    Attributes:
      accuracy: of the test at the end, ``(seeds,)`` by arm; that of the teacher where
        there is one.
    """

    accuracy: dict[str, np.ndarray]


def measure(config: Config, store: Store) -> Measured:
    """Train every arm; see ``Experiment.measure``."""
    data = small_data.all_digits()
    rows, found = store.group("arms"), {}
    for name, arm in arms(config).items():
        run = lambda key, x, y, arm=arm: _run(key, Labelled(x, y), arm, config)
        take = lambda run=run: {
            "accuracy": programs.over_seeds(run, config, *data, loop=True)
        }
        found[name] = rows.measured(name, take)["accuracy"]
    return Measured(found)


Arm = Callable[[jax.Array, Mapping[str, jax.Array], jax.Array], jax.Array]
"""``arm(key, batches, images)``: train on the batches, give the logits of images."""


def arms(config: Config) -> dict[str, Arm]:
    """The trainings, by name.

    Args:
      config: the size of the study.

    Returns:
      They.
    """
    tx = optax.adam(config.rate)

    def matching(weight: float, unlabelled: Any = None) -> Arm:
        network = networks.classifier(config)
        first = None if unlabelled is None else unlabelled.init(jnp.zeros((1, 10)))
        step = make_fixmatch_step(
            network,
            tx,
            weight=weight,
            threshold=config.threshold,
            unlabelled=unlabelled,
        )

        def train(key: jax.Array, batches: Any, images: jax.Array) -> jax.Array:
            state = init_fixmatch(tx, network.init(key)[0], key, unlabelled=first)
            params: Any = jax.lax.scan(step, state, batches)[0].params
            return network.apply(params["model"], {}, images, train=False)[0][0]

        return train

    def hybrid(reconstruction: float) -> Arm:
        network = networks.branches(config)
        step = make_hybridnet_step(
            network,
            tx,
            consistency=config.consistency,
            reconstruction=reconstruction,
            ramp=config.ramp,
            teacher_inputs="other",
        )

        def train(key: jax.Array, batches: Any, images: jax.Array) -> jax.Array:
            state = init_hybridnet(tx, network.init(key)[0], key)
            state, _ = jax.lax.scan(step, state, together(batches))
            params: Any = state.params
            return network.apply(params["teacher"], {}, images, train=False)[0].logits

        return train

    return {
        SUPERVISED: matching(0.0),
        FIXMATCH: matching(1.0),
        SHRINKMATCH: matching(1.0, shrinkmatch(threshold=config.threshold)),
        TEACHER: hybrid(0.0),
        HYBRIDNET: hybrid(config.reconstruction),
    }


def together(batches: Mapping[str, jax.Array]) -> dict[str, jax.Array]:
    """Batches in which examples without labels stand behind those with.

    Args:
      batches: of FixMatch, with an axis of steps.

    Returns:
      ``image``, another weak view ``other``, and ``label``, -1 where there is none.
    """
    images, labels = batches["image"], batches["label"]
    flat = lambda x: x.reshape(len(x), -1, *images.shape[2:])
    weak, strong = flat(batches["weak"]), flat(batches["strong"])
    none = jnp.full(weak.shape[:2], -1, labels.dtype)
    return {
        "image": jnp.concatenate([images, strong], axis=1),
        "other": jnp.concatenate([images, weak], axis=1),
        "label": jnp.concatenate([labels, none], axis=1),
    }


def _run(key: jax.Array, data: Labelled, arm: Arm, config: Config) -> jax.Array:
    """The test accuracy of one seed; the views of all steps are drawn at once."""
    keys = jax.random.split(key, 6)
    images = data._replace(inputs=data.inputs.reshape(-1, 8, 8, 1))
    counts = [config.labels] * 10
    few, test, rest = small_data.by_class(keys[0], images, counts, config.tested)
    shape, times = (config.steps, config.batch), config.times
    own = programs.picks(keys[1], *shape, len(few.labels))
    other = programs.picks(keys[2], shape[0], shape[1] * times, len(rest.labels))
    view = views(config.strength)

    def seen(key: jax.Array, x: jax.Array, shape: tuple[int, ...]) -> dict[str, Any]:
        found = view(key, {"image": x.reshape(-1, 8, 8, 1)})
        return {n: v.reshape(*shape, 8, 8, 1) for n, v in found.items()}

    labelled = small_data.picked(few, own)
    two = seen(keys[3], rest.inputs[other], (*shape, times))
    batches = {
        "image": seen(keys[4], labelled.inputs, shape)["image"],
        "label": labelled.labels,
        "weak": two["image"],
        "strong": two["strong"],
    }
    return dense_nets.accuracy(arm(keys[5], batches, test.inputs), test.labels)
