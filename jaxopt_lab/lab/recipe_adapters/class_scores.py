"""Tests and page of classes that come in groups, one after the other."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxopt_lab.core.functional import Functional
from jaxopt_lab.core.labels import is_largest
from jaxopt_lab.core.pixels import to_float
from jaxopt_lab.core.typing import Batch, Metrics, Params
from jaxopt_lab.losses.cross_entropy import at_labels

if TYPE_CHECKING:
    from jaxopt_lab.lab.configuration import Configuration
    from jaxopt_lab.lab.run_view import RunView
    from jaxopt_lab.plotting import Section

SEEN = "seen"
"""Entry of the model state, the number of classes that have come."""


def sums(network: Functional, ends: np.ndarray) -> Any:
    """Sums over the examples, of each group of classes by itself.

    Args:
      network: gives logits; its model state has the number of classes ``"seen"``.
      ends: the first class of each group, and the number of classes.

    Returns:
      ``metric_fn(params, model_state, batch)``; see ``scores``.
    """

    def metric_fn(params: Params, model_state: Any, batch: Batch) -> Metrics:
        x, labels = to_float(jnp.asarray(batch["image"])), batch["label"]
        logits, _ = network.apply(params, model_state, x, train=False)
        weight = batch.get("weight", jnp.ones(len(labels))).astype(logits.dtype)
        come = weight * (labels < model_state[SEEN]).astype(logits.dtype)
        losses = jax.nn.logsumexp(logits, axis=-1) - at_labels(logits, labels)
        right = is_largest(logits, labels).astype(logits.dtype)
        found = {
            "loss": jnp.sum(jnp.where(come > 0, come * losses, 0)),
            "right": jnp.sum(come * right),
            "come": jnp.sum(come),
            "weight": jnp.sum(weight),
        }
        for group, (low, high) in enumerate(itertools.pairwise(ends)):
            own = weight * ((labels >= low) & (labels < high)).astype(logits.dtype)
            found[f"right_{group}"] = jnp.sum(own * right)
            found[f"of_{group}"] = jnp.sum(own)
        return found

    return metric_fn


def scores(sums: Mapping[str, Any], tasks: int) -> dict[str, np.ndarray]:
    """Loss of the classes that have come, accuracies over all, over them, of groups.

    A class that has not come is never predicted: the first is the share of all that is
    known, by which states can be compared.

    Args:
      sums: means of ``sums`` over all examples.
      tasks: number of groups.

    Returns:
      ``loss``, ``accuracy``, ``seen_accuracy``, and each group's by ``name_of``.
    """

    def share(part: Any, whole: Any) -> np.ndarray:
        return np.where(whole > 0, part / np.where(whole > 0, whole, 1), 0.0)

    found = {"loss": share(sums["loss"], sums["come"])}
    # Sums are divided by the weight of all examples already.
    found["accuracy"] = sums["right"]
    found["seen_accuracy"] = share(sums["right"], sums["come"])
    for group in range(tasks):
        found[name_of(group)] = share(sums[f"right_{group}"], sums[f"of_{group}"])
    return found


def figures(
    records: Sequence[Mapping[str, Any]], configuration: Configuration
) -> dict[str, Any]:
    """Accuracies of each group of classes after each task, and the forgetting.

    Args:
      records: of tests.
      configuration: the run.

    Returns:
      ``task_accuracies``, by task the accuracies of all groups, means over seeds; and,
      where every task was tested at its end, ``forgetting``, of each seed: the mean,
      over the groups but the last, of the best accuracy after an earlier task less
      that at the end (Chaudhry et al. 2018).
    """
    tasks = configuration.parts["recipe"]["tasks"]
    each = configuration.run.steps // tasks
    at = {r["step"]: r for r in records}
    ends = [at.get(each * (i + 1)) for i in range(tasks)]
    found = [r for r in ends if r is not None]
    # (tasks, groups, seeds)
    table = np.array([[np.ravel(r[name_of(g)]) for g in range(tasks)] for r in found])
    told: dict[str, Any] = {}
    if len(table):
        told["task_accuracies"] = [list(map(float, row)) for row in table.mean(-1)]
    if len(found) == tasks > 1:
        lost = table[:-1, :-1].max(0) - table[-1, :-1]
        told["forgetting"] = lost.mean(0).tolist()
    return told


def name_of(group: int) -> str:
    """The name, in the records of tests, of the accuracy of a group of classes."""
    return f"task_{group + 1}_accuracy"


def sections(run: RunView) -> list[Section]:
    """Accuracies of each group of classes after each task.

    Args:
      run: the run.

    Returns:
      The section; none before the first task has ended.
    """
    from jaxopt_lab.plotting import Section

    told = run.summary
    if "task_accuracies" not in told:
        return []
    table = told["task_accuracies"]
    groups = range(len(table[0]))
    rows = [("after", *(f"task {g + 1} (%)" for g in groups))]
    for i, row in enumerate(table):
        # Groups that had not come have no accuracy.
        cells = [f"{100 * x:.2f}" if g <= i else "" for g, x in enumerate(row)]
        rows.append((f"task {i + 1}", *cells))
    text = "Test accuracy on the classes of each task, among all that had come."
    if "forgetting" in told:
        lost = 100 * float(np.mean(told["forgetting"]))
        text += (
            f" Forgetting: {lost:.2f} percentage points, the mean over all tasks but "
            "the last of the best accuracy before less that at the end."
        )
    return [Section("Class-incremental learning", text, rows)]
