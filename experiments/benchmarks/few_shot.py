"""Few-shot images: accuracy on classes that meta-training has never seen.

Run as ``python -m experiments.benchmarks.few_shot [METHOD ...] --fashion FOLDER``, the
folder of Fashion-MNIST's IDX files (without it: scikit-learn's digits). Six classes are
for meta-training and four for the test. A task is a few of them, relabelled at random,
with a few images of each, and every task has labels of its own: without adaptation
nothing is better than chance. Accuracies are means over test tasks with 95 %
intervals: before and after adaptation, and after the same adaptation from random
weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments.benchmarks.maml import Layer, meta_train, network, outputs
from experiments.benchmarks.options import meta_parser
from experiments.benchmarks.paired import report
from experiments.studies.fashion import fashion_mnist, pooled
from jaxopt_lab.bilevel.metalearning import (
    ClassPool,
    MetaLoss,
    adaptation_losses,
    anil,
    class_pool,
    few_shot_task,
    maml,
    reptile,
    split_classes,
)
from jaxopt_lab.core import errors, trees
from jaxopt_lab.core.typing import Batch, Params
from jaxopt_lab.data import load_digits
from jaxopt_lab.lab.statistics import mean_interval
from jaxopt_lab.losses.classification import cross_entropy, to_float

HELD_OUT, QUERIES, WIDTH = 4, 15, 64
STEPS, RATE, TASKS, TEST_TASKS = 3000, 1e-3, 8, 600
INNER_RATE, INNER_STEPS, ADAPTATION_STEPS = 0.1, 5, 10


def pools(fashion: Path | None, seed: int) -> tuple[ClassPool, ClassPool]:
    """Images of the classes to meta-train on, and of those held out.

    Args:
      fashion: folder of Fashion-MNIST, used at half the size; ``None``: digits.
      seed: of the split.

    Returns:
      The first from the set's training part, the second from its test part.
    """
    dataset = load_digits() if fashion is None else fashion_mnist(fashion)

    def flat(images: np.ndarray) -> jax.Array:
        x = (to_float if fashion is None else pooled)(jnp.asarray(images))
        return x.reshape(x.shape[0], -1)

    split = split_classes(jax.random.key(seed), dataset.num_classes, HELD_OUT)
    parts = (dataset.train, dataset.test)
    train, test = (
        class_pool({"x": flat(part["image"]), "label": part["label"]}, classes=classes)
        for part, classes in zip(parts, split, strict=True)
    )
    return train, test


def label_loss(layers: Params, batch: Batch) -> jax.Array:
    """Mean cross-entropy on a batch of flat images."""
    return jnp.mean(cross_entropy(outputs(layers, batch["x"]), batch["label"]))


def accuracy(layers: Params, batch: Batch) -> jax.Array:
    """Share of the images whose largest output is their label's."""
    return jnp.mean(jnp.argmax(outputs(layers, batch["x"]), -1) == batch["label"])


def methods() -> dict[str, MetaLoss]:
    """The compared methods: every method with plain gradient descent inside.

    Returns:
      Meta-losses by name.
    """
    inner, steps = optax.sgd(INNER_RATE), INNER_STEPS
    return {
        "maml": maml(label_loss, inner=inner, steps=steps),
        "first-order maml": maml(
            label_loss, inner=inner, steps=steps, first_order=True
        ),
        "anil": anil(label_loss, head=trees.matching("^2/"), inner=inner, steps=steps),
        "reptile": reptile(label_loss, inner=inner, steps=steps),
    }


def test_accuracies(
    layers: list[Layer], pool: ClassPool, key: jax.Array, *, ways: int, shots: int
) -> jax.Array:
    """Accuracies on new tasks after 0, 1, 2, ... steps.

    Args:
      layers: where every task starts.
      pool: what tasks are drawn from.
      key: typed key.
      ways: classes of a task.
      shots: images of each to adapt to.

    Returns:
      Shape ``(TEST_TASKS, ADAPTATION_STEPS + 1)``.
    """

    def one(key: jax.Array) -> jax.Array:
        task = few_shot_task(key, pool, ways=ways, shots=shots, queries=QUERIES)
        return adaptation_losses(
            label_loss,
            layers,
            task,
            inner=optax.sgd(INNER_RATE),
            steps=ADAPTATION_STEPS,
            query_loss=accuracy,
        )

    return jax.lax.map(one, jax.random.split(key, TEST_TASKS), batch_size=50)


test_accuracies.__test__ = False  # type: ignore[attr-defined]  # no test, for pytest


def run(
    name: str, train: ClassPool, test: ClassPool, *, ways: int, shots: int, steps: int
) -> dict[str, str]:
    """Meta-train on one set of classes and test on the other.

    Args:
      name: of the method.
      train: images of the classes to meta-train on.
      test: images of the others.
      ways: classes of a task.
      shots: images of each to adapt to.
      steps: outer steps.

    Returns:
      Accuracies as texts by label.
    """
    of_network, of_training, of_test = jax.random.split(jax.random.key(0), 3)
    inputs = train.examples["x"].shape[1]
    first = network(of_network, (inputs, WIDTH, WIDTH, ways))
    sizes = {"ways": ways, "shots": shots}

    @jax.jit
    def learned(layers: list[Layer], pool: ClassPool, key: jax.Array) -> list[Layer]:
        return meta_train(
            methods()[name],
            lambda key: few_shot_task(key, pool, queries=QUERIES, **sizes),
            # Reptile's displacement is the paper's step, at a rate that falls to 0.
            optax.sgd(optax.linear_schedule(1.0, 0.0, steps))
            if name == "reptile"
            else optax.adam(RATE),
            layers,
            key,
            steps=steps,
            tasks=TASKS,
        )[0]

    measure = jax.jit(test_accuracies, static_argnames=("ways", "shots"))
    last = learned(first, train, of_training)
    after = np.asarray(measure(last, test, of_test, **sizes))
    scratch = np.asarray(measure(first, test, of_test, **sizes))
    figures = {
        "not adapted": after[:, 0],
        "adapted, 1 step": after[:, 1],
        f"adapted, {ADAPTATION_STEPS} steps": after[:, -1],
        f"{ADAPTATION_STEPS} steps from random weights": scratch[:, -1],
    }
    setting = f"{name}, {ways}-way {shots}-shot"
    found = {}
    for label, values in figures.items():
        mean, half = mean_interval(100 * values)
        found[f"{setting}: {label}"] = f"{mean:.1f} ± {half:.1f} %"
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    """Meta-train, test and print.

    Args:
      arguments: command line; ``None`` for that of the process.
    """
    parser = meta_parser(__doc__, methods(), STEPS)
    parser.add_argument("--fashion", type=Path, help="folder of Fashion-MNIST")
    parser.add_argument("--ways", type=int, default=3, help="classes of a task, to 4")
    parser.add_argument("--shots", type=int, nargs="+", default=[1, 5])
    options = parser.parse_args(arguments)
    found: dict[str, Any] = {"outer steps": options.steps, "seed": options.seed}
    try:
        for name in options.methods:
            if name not in methods():
                raise errors.unknown("method", name, methods())
        train, test = pools(options.fashion, options.seed)
        for name in options.methods:
            for shots in options.shots:
                sizes = {"ways": options.ways, "shots": shots, "steps": options.steps}
                found |= run(name, train, test, **sizes)
    except errors.InputError as error:
        parser.error(str(error))
    report("few-shot images", found)


if __name__ == "__main__":
    main()
