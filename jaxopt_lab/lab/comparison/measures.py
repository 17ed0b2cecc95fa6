"""Measurements on the trained networks of a comparison."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxopt_lab import curvature
from jaxopt_lab.core.typing import Batch
from jaxopt_lab.diagnostics import with_weight_noise
from jaxopt_lab.lab import probing
from jaxopt_lab.lab.trained_run import Run

NOISE_DRAWS = 4
"""Draws of noise at each level."""
_MOST_EXAMPLES = 20_000


def measure(
    run: Run, score: str, *, sharpness_examples: int, noise: Sequence[float]
) -> dict[str, Any]:
    """The measurements of a run at its last step.

    Args:
      run: the run.
      score: ``"accuracy"``, ``"loss"`` or ``"auto"``.
      sharpness_examples: training examples for the largest eigenvalue; 0: none.
      noise: levels of weight noise, see ``with_weight_noise``.

    Returns:
      As JSON holds it: ``score``, the name of the score; ``examples``, the score of
      each test example, a mean over the seeds, empty where they are more than 20,000;
      ``sharpness``, the largest eigenvalue of the Hessian of each seed; ``noise``, the
      score of each seed at every level, a mean over the draws; numbers that are not
      finite are ``None``. The same network gives the same numbers.
    """
    chosen = score if score != "auto" else score_of(run.kind)
    finite = bool(
        jnp.all(
            jnp.array([jnp.all(jnp.isfinite(p)) for p in jax.tree.leaves(run.params)])
        )
    )
    found: dict[str, Any] = {
        "score": chosen,
        "examples": plain(_of_examples(run, chosen)),
        "sharpness": None,
        "noise": _with_noise(run, chosen, noise),
    }
    if sharpness_examples:
        sharpness = np.full(run.seeds, np.nan)
        if finite:
            sharpness = _sharpness(run, sharpness_examples)
        found["sharpness"] = plain(sharpness)
    return found


def score_of(kind: str) -> str:
    """The score by which runs on data of a kind are compared."""
    return "accuracy" if kind == "image" else "loss"


def plain(values: Any) -> list[float | None]:
    """Numbers as JSON holds them: ``None`` where one is not finite."""
    every = np.ravel(np.asarray(values, np.float64)).tolist()
    return [x if np.isfinite(x) else None for x in every]


def _sharpness(run: Run, examples: int) -> np.ndarray:
    program = run.program
    hook = curvature.ProbeHook(
        probing.mean_loss(program.metric_fn),
        program.fixed(examples),
        probing.probe_key(),
        warm_start=False,
        what=("top",),
        num_steps=24,
        example_weights=probing.weight_of,
    )
    found = hook(run.step, run.state)["curvature/top_1"]
    return np.ravel(np.asarray(found, np.float64))


def _with_noise(
    run: Run, score: str, levels: Sequence[float]
) -> list[list[float | None]]:
    """The score of every seed at each level, a mean over draws that all seeds share."""

    def noisy(params: Any, level: jax.Array, key: jax.Array) -> Any:
        return with_weight_noise(params, level, key)

    over_seeds = jax.jit(jax.vmap(noisy, (0, None, None)) if run.seeds > 1 else noisy)
    if levels:
        run.evaluate()  # so that those with noise share its program
    found = []
    for level in levels:
        total = np.zeros(run.seeds)
        for key in jax.random.split(jax.random.key(0), NOISE_DRAWS):
            moved = over_seeds(run.params, jnp.float32(level), key)
            tested = run.with_weights(moved, run.model_state).evaluate()
            total = total + np.ravel(tested[score])
        found.append(plain(total / NOISE_DRAWS))
    return found


def _of_examples(run: Run, score: str) -> np.ndarray:
    """The score of each test example, a mean over the seeds."""
    metric_fn = run.program.test_metric_fn
    number = run.test_examples
    if number is None or number > _MOST_EXAMPLES:
        return np.zeros(0)

    @jax.jit
    def of_batch(state: Any, batch: Batch) -> jax.Array:
        def one(example: Batch) -> jax.Array:
            alone = jax.tree.map(lambda x: x[None], example)
            sums = metric_fn(state.params, state.model_state, alone)
            weight = jnp.maximum(sums["weight"], 1e-9)  # padding has weight 0
            return sums[score] / weight

        return jax.vmap(one)(batch)

    found = []
    for batch in run.program.test:
        real = np.asarray(probing.weight_of(batch)) > 0
        real = real.reshape(len(real), -1).any(axis=1)
        seeds = [of_batch(run.seed(i).state, batch) for i in range(run.seeds)]
        found.append(np.mean(np.asarray(seeds, np.float64), axis=0)[real])
    return np.concatenate(found)
