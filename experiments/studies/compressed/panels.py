"""The training problems: a model and its data."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from experiments.studies.compressed.config import Config
from jaxopt_lab.core.typing import Batch, TrainLossFn
from jaxopt_lab.data import load_digits
from jaxopt_lab.data.text import load_text, read_text, vocabulary
from jaxopt_lab.lab import models
from jaxopt_lab.lab.models.configs import ConvNetConfig, TransformerConfig
from jaxopt_lab.losses import classification as losses
from jaxopt_lab.training import Functional, from_nnx

_TEST_EXAMPLES = 256


class Panel(NamedTuple):
    """One training problem.

    Attributes:
      name: as in tables.
      model: the network.
      loss_fn: its loss in nats, a mean over the batch.
      evaluate: ``evaluate(params, model_state)``, the loss on the held-out examples.
      train: all training examples, one array for each input.
      steps: of one run.
    """

    name: str
    model: Functional
    loss_fn: TrainLossFn
    evaluate: Callable[[Any, Any], jax.Array]
    train: dict[str, np.ndarray]
    steps: int

    def batch(self, seed: int, step: int, size: int) -> Batch:
        """The batch of a step; every method of a seed sees the same ones."""
        count = len(next(iter(self.train.values())))
        chosen = np.random.default_rng([seed, step]).integers(0, count, size)
        return {name: jnp.asarray(x[chosen]) for name, x in self.train.items()}


def images(config: Config) -> Panel:
    """A convolutional network on digits, from scratch.

    Args:
      config: channels and steps.

    Returns:
      The panel.
    """
    dataset = load_digits()
    shape = dataset.input_shape
    build = models.MODELS["convnet"].build(
        ConvNetConfig(channels=config.channels), shape, dataset.num_classes
    )
    model = from_nnx(build)
    return Panel(
        "convnet",
        model,
        losses.classification_loss(model),
        _evaluate(losses.classification_metrics(model), dataset.test),
        dict(dataset.train),
        config.steps,
    )


def language(config: Config, text: Path) -> tuple[Panel, Panel]:
    """A transformer on characters: from scratch, and on the text with its case swapped.

    The second is meant for fine-tuning a transformer of the first: the language and
    the characters stay, the common ones become rare.

    Args:
      config: size of the transformer, steps.
      text: the file.

    Returns:
      Both panels.
    """
    dataset = load_text(text, config.context)
    build = models.MODELS["transformer"].build(
        TransformerConfig(
            width=config.width, depth=config.depth, context=config.context
        ),
        (config.context,),
        dataset.num_classes,
    )
    model = from_nnx(build)
    metrics = losses.next_token_metrics(model)
    swapped = _swap_case(vocabulary(read_text(text)))

    def panel(name: str, table: np.ndarray, steps: int) -> Panel:
        train, test = (
            {key: table[np.asarray(x)] for key, x in part.items()}
            for part in (dataset.train, dataset.test)
        )
        loss_fn = losses.next_token_loss(model)
        return Panel(name, model, loss_fn, _evaluate(metrics, test), train, steps)

    same = np.arange(dataset.num_classes, dtype=swapped.dtype)
    return (
        panel("transformer", same, config.steps),
        panel("fine-tuning", swapped, config.tuned_steps),
    )


def _swap_case(characters: str) -> np.ndarray:
    place = {c: i for i, c in enumerate(characters)}
    swapped = [place.get(c.swapcase(), i) for i, c in enumerate(characters)]
    return np.asarray(swapped, np.int32)


def _evaluate(metrics: Any, test: Any) -> Callable[[Any, Any], jax.Array]:
    held_out = {name: jnp.asarray(x[:_TEST_EXAMPLES]) for name, x in test.items()}

    @jax.jit
    def evaluate(params: Any, model_state: Any) -> jax.Array:
        sums = metrics(params, model_state, held_out)
        return sums["loss"] / sums["weight"]

    return evaluate
