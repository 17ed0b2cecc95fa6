"""Mistakes of a trained classifier over its test data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxopt_lab.core.functional import Functional
from jaxopt_lab.core.pixels import to_float
from jaxopt_lab.core.typing import ModelState, Params
from jaxopt_lab.losses.cross_entropy import cross_entropy

MOST = 20_000
"""Test examples that are looked at, at most."""


class Worst(NamedTuple):
    """An example with a large loss.

    Attributes:
      index: its place among the test examples.
      inputs: as the data set has it.
      label: the true class.
      predicted: the class with the largest logit.
      loss: cross-entropy in nats.
    """

    index: int
    inputs: np.ndarray
    label: int
    predicted: int
    loss: float


class Mistakes(NamedTuple):
    """Predictions over the test data.

    Attributes:
      confusion: counts by true and by predicted class.
      correct: 1 or 0 for each example.
      losses: cross-entropy of each example.
      worst: those of the largest losses, the largest first.
      whole: whether these are all test examples.
    """

    confusion: np.ndarray
    correct: np.ndarray
    losses: np.ndarray
    worst: list[Worst]
    whole: bool


def examine(
    model: Functional,
    params: Params,
    model_state: ModelState,
    batches: Any,
    *,
    shown: int = 16,
    most: int = MOST,
) -> Mistakes:
    """Predict the test examples and keep the worst of them.

    Args:
      model: its ``apply`` gives logits.
      params: the parameters to evaluate.
      model_state: the state that belongs to them.
      batches: dicts of ``image``, ``label`` and, for padding, ``weight``; or a function
        that gives an iterable of them.
      shown: worst examples to keep.
      most: examples to look at, in whole batches.

    Returns:
      The mistakes.

    Cost: one compiled program, and one pass over the examples.
    """

    @jax.jit
    def predict(params: Any, model_state: Any, batch: Any) -> Any:
        inputs = to_float(batch["image"])
        logits, _ = model.apply(params, model_state, inputs, train=False)
        losses = cross_entropy(logits, batch["label"])
        return jnp.argmax(logits, axis=-1), losses, jnp.zeros(logits.shape[-1])

    labels, predicted, losses = [], [], []
    worst: list[Worst] = []
    seen, classes, whole = 0, 0, True
    every: Any = batches() if callable(batches) else batches
    for batch in every:
        if seen >= most:
            whole = False
            break
        found = predict(params, model_state, dict(batch))
        real = _real(batch)
        chosen, nats = (np.asarray(x)[real] for x in found[:2])
        classes = len(found[2])
        true = np.asarray(batch["label"])[real]
        for i in np.argsort(-nats, kind="stable")[:shown]:
            image = np.asarray(batch["image"][np.flatnonzero(real)[i]])
            classes_of = int(true[i]), int(chosen[i])
            worst.append(Worst(seen + int(i), image, *classes_of, float(nats[i])))
        worst = sorted(worst, key=lambda w: -w.loss)[:shown]
        labels.append(true)
        predicted.append(chosen)
        losses.append(nats)
        seen += len(true)
    true, chosen = np.concatenate(labels), np.concatenate(predicted)
    confusion = np.zeros((classes, classes), int)
    np.add.at(confusion, (true, chosen), 1)
    correct = (true == chosen).astype(float)
    return Mistakes(confusion, correct, np.concatenate(losses), worst, whole)


def confused(confusion: np.ndarray, most: int = 8) -> list[tuple[int, int, int]]:
    """The pairs of classes that are taken for one another most often.

    Args:
      confusion: counts by true and by predicted class.
      most: pairs at most.

    Returns:
      True class, predicted class and count, the largest count first.

    >>> confused(np.array([[5, 1], [3, 2]]))
    [(1, 0, 3), (0, 1, 1)]
    """
    apart = np.array(confusion)
    np.fill_diagonal(apart, 0)
    order = np.argsort(-apart, axis=None, kind="stable")[:most]
    pairs = [tuple(map(int, np.unravel_index(i, apart.shape))) for i in order]
    return [(i, j, int(apart[i, j])) for i, j in pairs if apart[i, j]]


def _real(batch: Mapping[str, Any]) -> np.ndarray:
    """A mask of the examples that are no padding."""
    if "weight" in batch:
        return np.asarray(batch["weight"]) > 0
    return np.ones(len(batch["label"]), bool)
