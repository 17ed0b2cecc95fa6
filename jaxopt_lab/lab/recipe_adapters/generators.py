"""Tests, page and checks of runs whose network makes examples."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxopt_lab.core import loops
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.pixels import to_float
from jaxopt_lab.metrics import compare_sets, knn_coverage
from jaxopt_lab.training import TrainState

if TYPE_CHECKING:
    from jaxopt_lab.lab.configuration import Configuration
    from jaxopt_lab.lab.run_view import RunView
    from jaxopt_lab.lab.task_data import TaskData
    from jaxopt_lab.plotting import Section

Samples = Callable[[Any, Any, jax.Array, int], jax.Array]
"""``samples(params, model_state, key, count)``, examples of a generator."""

SCORES = ("precision", "recall", "density", "coverage")
"""Results of a test, as of ``metrics.knn_coverage``."""

APART = "trains a generator, which has no accuracy and no loss of classes"
"""``Adapter.apart`` of these."""

COMPARED = 1000
"""Test examples beside which as many generated ones are judged, at most."""
_OF_PAGE, _SHOWN = 500, 40


def check(configuration: Configuration) -> None:
    """Refuse what has no meaning for a generator.

    Args:
      configuration: the run.

    Raises:
      InputError: names the option.
    """
    run, task = configuration.run, configuration.rows.task
    said = f"recipe={run.recipe} trains a generator"
    if run.curvature != "off":
        raise InputError(f"{said}; curvature={run.curvature} is of a classifier's loss")
    if run.image_size and task.source == "tfds":
        raise InputError(
            f"{said}, which is tested on a set in memory; image_size={run.image_size} "
            "streams it"
        )
    metrics = configuration.rows.own.metrics
    if metrics:
        raise InputError(f"{said}; metrics of logits ({', '.join(metrics)}) are none")


def check_data(row: Any, loaded: TaskData) -> None:
    """Refuse data that are no images or other arrays of numbers.

    Args:
      row: the recipe.
      loaded: the data.

    Raises:
      InputError: it is a text.
    """
    if loaded.kind != "image":
        raise InputError(f"recipe={row.name} takes images; the data are {loaded.kind}")


def real_examples(batches: Any, most: int) -> jax.Array:
    """The first test examples without padding, as points.

    Args:
      batches: of the test.
      most: examples.

    Returns:
      ``(n, features)``.
    """
    found: list[np.ndarray] = []
    for batch in batches:
        images = np.asarray(to_float(jnp.asarray(batch["image"])))
        weight = batch.get("weight")
        if weight is not None:
            images = images[np.asarray(weight).reshape(len(images), -1).any(1)]
        found.append(images)
        if sum(map(len, found)) >= most:
            break
    every = np.concatenate(found)[:most]
    return jnp.asarray(every.reshape(len(every), -1))


def tests(
    samples: Samples,
    losses: Callable[[Any], Callable[[TrainState], Mapping[str, Any]]] | None = None,
) -> Callable[..., Any]:
    """Evaluators of a generator: as many examples as the test set has, beside it.

    Args:
      samples: of the network.
      losses: of the batches, an evaluator of the network's loss; ``None``: it has none.

    Returns:
      ``tests(batches, seeds=)``, an evaluator whose results are ``SCORES`` (and
      ``loss``). All tests and seeds begin with the same noise. Memory: the examples.
    """

    def of_batches(batches: Any, *, seeds: bool = False, mode: str = "auto") -> Any:
        del mode  # one seed after the other: sets of points are large
        loss = None if losses is None else losses(batches)

        @functools.cache
        def real() -> jax.Array:
            return real_examples(batches, COMPARED)

        @jax.jit
        def one(params: Any, model_state: Any, x: jax.Array) -> dict[str, jax.Array]:
            made = samples(params, model_state, jax.random.key(0), len(x))
            found = knn_coverage(x, made.reshape(x.shape).astype(x.dtype))
            return {name: getattr(found, name).value for name in SCORES}

        def evaluate(state: TrainState) -> dict[str, np.ndarray]:
            found = {} if loss is None else dict(loss(state))
            scores = of_each_seed(lambda *trees: one(*trees, real()), state, seeds)
            return found | scores

        return evaluate

    return of_batches


def of_each_seed(
    test: Callable[[Any, Any], Mapping[str, Any]], state: TrainState, many: bool
) -> dict[str, np.ndarray]:
    """A test of a state, of one seed after the other.

    Args:
      test: of parameters and model state.
      state: the state.
      many: whether it is of several seeds.

    Returns:
      Numbers by name, or arrays of one a seed.
    """
    trees = state.params, state.model_state
    count = len(jax.tree.leaves(state.params)[0]) if many else 1
    each = [test(*(loops.take(trees, i) if many else trees)) for i in range(count)]
    found = {n: np.array([float(one[n]) for one in each]) for n in each[0]}
    return found if many else {name: values[0] for name, values in found.items()}


def samples_of(samples: Samples) -> Callable[[RunView, int, jax.Array], jax.Array]:
    """``Adapter.samples`` of a network without options of its own."""

    def of_run(run: RunView, count: int, key: jax.Array) -> jax.Array:
        made = jax.jit(samples, static_argnums=3)
        return made(run.params, run.model_state, key, count)

    return of_run


def sections(run: RunView) -> list[Section]:
    """Samples of a run's generator, beside test examples, and all measures of both.

    Args:
      run: the run, of several seeds the first.

    Returns:
      The sections.
    """
    from jaxopt_lab import plotting
    from jaxopt_lab.plotting import Section

    one = run.seed(0)
    real = real_examples(run.test_batches, _OF_PAGE)
    made = np.asarray(one.samples(len(real), seed=1), real.dtype)
    shape = run.input_shape
    rest = f" Seed {run.config['seed']}." if run.config["seeds"] > 1 else ""
    figures = {}
    if len(shape) in (2, 3) and (len(shape) == 2 or shape[-1] in (1, 3, 4)):
        both = {"samples": made, "test examples": np.asarray(real).reshape(made.shape)}
        for name, images in both.items():
            shown = list(images[:_SHOWN])
            figures[name] = plotting.image_grid(shown, [""] * len(shown))
    table = compare_sets(real, made.reshape(real.shape), key=jax.random.key(0))
    rows = [
        (row.metric, row.setting, row.measure, f"{row.value:.4f}", f"{row.error:.4f}")
        for row in table.rows
    ]
    head = ("metric", "setting", "measure", "value", "error")
    text = (
        f"{len(made)} examples of the generator beside as many of the test set, as "
        f"points of pixels (metrics.compare_sets).{rest}"
    )
    return [
        Section("Samples", f"Examples from noise.{rest}", figures=figures),
        Section("Samples and test examples", text, [head, *rows]),
    ]
