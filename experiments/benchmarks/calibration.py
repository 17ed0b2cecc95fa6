"""Time of the h-calibration loss over that of the sorts that it needs.

Run as ``python -m experiments.benchmarks.calibration``. 5,000 examples of 100 classes,
500,000 events. With all examples the loss takes one sort; with one class left out at a
time its definition sorts what is left for every class, 100 sorts, and ours takes out
events of one sort. The gradient is that with respect to the logits. All programs are
compiled before they are timed, in pairs in the order A B B A, in processor time: the
sort has one thread, and so has most of the loss.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.benchmarks import paired
from jaxopt_lab.metrics import h_calibration_loss

EXAMPLES, CLASSES, BAR = 5_000, 100, 1.5


def example(examples: int = EXAMPLES, classes: int = CLASSES) -> Any:
    """Logits and labels of a classifier that is mostly right.

    Args:
      examples: number of examples.
      classes: number of classes.

    Returns:
      ``(logits, labels)``.
    """
    rng = np.random.default_rng(0)
    labels = rng.integers(0, classes, examples)
    logits = 3 * rng.normal(size=(examples, classes)) + 4 * np.eye(classes)[labels]
    return jnp.asarray(logits, jnp.float32), jnp.asarray(labels)


def programs(logits: jax.Array, labels: jax.Array) -> dict[str, Callable[[], Any]]:
    """Compiled programs by name, each run to its end.

    Args:
      logits: ``(B, C)``.
      labels: ``(B,)``.

    Returns:
      The sort of the events; the loss, and with its gradient, with all examples and
      with one class left out at a time.
    """
    events = jax.nn.log_softmax(logits).reshape(-1)

    def ready(fn: Callable[[Any], Any], x: jax.Array) -> Callable[[], Any]:
        jitted = jax.jit(fn)
        return lambda: jax.block_until_ready(jitted(x))

    def loss(leave: bool) -> Callable[[Any], Any]:
        return lambda z: h_calibration_loss(z, labels, leave_class_out=leave)

    found = {"sort": ready(jnp.argsort, events)}
    for name, leave in (("all examples", False), ("classes left out", True)):
        found[name] = ready(loss(leave), logits)
        found[f"{name}, gradient"] = ready(jax.value_and_grad(loss(leave)), logits)
    return found


def table(pairs: int = 6, **sizes: int) -> dict[str, Any]:
    """The ratios by name.

    Args:
      pairs: pairs of runs of each ratio.
      **sizes: ``examples`` and ``classes``.

    Returns:
      Ratios to one sort, and to the sorts of the definition, one for each class.
    """
    logits, labels = example(**sizes)
    every = programs(logits, labels)
    sort, classes = every.pop("sort"), logits.shape[1]
    found: dict[str, Any] = {}
    for name, run in every.items():
        # One run of a leave-out takes as long as many sorts.
        ratio = paired.ratio(run, sort, pairs=pairs, clock=time.process_time)
        found[f"{name}, over one sort"] = ratio
        if "left out" in name:
            found[f"{name}, over {classes} sorts"] = ratio.median / classes
    first = found["all examples, over one sort"].median
    left = found[f"classes left out, over {classes} sorts"]
    found[f"within the bar of {BAR} times the sorts"] = bool(max(first, left) <= BAR)
    return found


def main() -> int:
    """Print the table and a line of JSON."""
    paired.report("h-calibration loss", table())
    return 0


if __name__ == "__main__":
    sys.exit(main())
