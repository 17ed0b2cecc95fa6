"""Errors of angles and rank correlations of qualities, by arm."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments.harness.store import Store
from experiments.studies import dense_nets, programs, small_data
from experiments.studies.ordinal import qualities
from experiments.studies.ordinal.config import Config
from experiments.studies.programs import Labelled
from jaxopt_lab.core.unit import unit_rows
from jaxopt_lab.losses import supervised_contrastive_regression, supremix
from jaxopt_lab.metrics.rank_correlation import rank_correlation

L1, SUPCON, SUPREMIX = "L1 regression", "SupCon, probe", "SupReMix, probe"
DEGREES = 5.0
_PAIRS = 2000


class Measured(NamedTuple):
    """Everything that is measured; ``(seeds,)`` by arm.

    Attributes:
      error: mean absolute error of the angle, in degrees.
      order: rank correlation of the distances of labels and of embeddings.
      quality: rank correlation of the predicted quality with the true one.
      linear: their correlation.
      spread: correlation of the predicted deviation with that of the votes.
    """

    error: dict[str, np.ndarray]
    order: dict[str, np.ndarray]
    quality: dict[str, np.ndarray]
    linear: dict[str, np.ndarray]
    spread: dict[str, np.ndarray]


def rotated(bins: int) -> Labelled:
    """All digits, each turned by a bin of angles that is its label.

    Args:
      bins: number of angles, from 0 on.

    Returns:
      The set; the same angles in every call.
    """
    from scipy.ndimage import rotate

    data = small_data.all_digits()
    labels = np.random.default_rng(0).integers(0, bins, len(data.labels))
    images = np.asarray(data.inputs).reshape(-1, 8, 8)
    turned = [
        rotate(image, DEGREES * label, reshape=False, order=1)
        for image, label in zip(images, labels, strict=True)
    ]
    flat = np.stack(turned).reshape(-1, 64).astype(np.float32)
    return Labelled(jnp.asarray(flat), jnp.asarray(labels, jnp.int32))


def measure(config: Config, store: Store) -> Measured:
    """Train every arm; see ``Experiment.measure``."""
    turned, rows = rotated(config.bins), store.group("arms")
    error: dict[str, np.ndarray] = {}
    order: dict[str, np.ndarray] = {}
    for arm in (L1, SUPCON, SUPREMIX):

        def take(arm: str = arm) -> dict[str, np.ndarray]:
            run = lambda key, x, y: _angles(key, Labelled(x, y), arm, config)
            found = programs.over_seeds(run, config, *turned, loop=True)
            pairs = zip(found["near"], found["alike"], strict=True)
            return {
                "error": found["error"],
                "order": np.array([rank_correlation(*pair) for pair in pairs]),
            }

        row = rows.measured(arm, take)
        error[arm], order[arm] = row["error"], row["order"]

    def levels() -> dict[str, np.ndarray]:
        data = small_data.all_digits()
        run = lambda key, x, y: qualities.run(key, Labelled(x, y), config)
        return qualities.scores(programs.over_seeds(run, config, *data, loop=True))

    row = rows.measured("levels", levels)
    of = lambda n: {arm: row[n][:, i] for i, arm in enumerate(qualities.ARMS)}
    return Measured(error, order, of("quality"), of("linear"), of("spread"))


def _angles(
    key: jax.Array, data: Labelled, arm: str, config: Config
) -> dict[str, jax.Array]:
    """The error, and distances of labels and embeddings of pairs of the test."""
    keys = jax.random.split(key, 7)
    clean, test = small_data.parts(keys[0], data, config.train)
    test = small_data.noisy(keys[1], test, config.noise)
    net = dense_nets.dense_params(keys[2], 64, config.width, config.features, 1)
    embed = lambda params, x: dense_nets.dense(params[:-1], x)

    def loss(params: Any, given: Any) -> jax.Array:
        at, key = given
        own = jax.random.split(key, 3)
        batch = small_data.picked(clean, at)
        two = [small_data.noisy(k, batch, config.noise) for k in own[:2]]
        x = jnp.concatenate([view.inputs for view in two])
        y = jnp.concatenate([view.labels for view in two]).astype(x.dtype)
        f = embed(params, x)
        if arm == L1:
            angles = dense_nets.dense(params[-1:], jax.nn.relu(f))[:, 0]
            return jnp.mean(jnp.abs(angles - y))
        if arm == SUPCON:
            return supervised_contrastive_regression(
                f, y, temperature=config.temperature, weighting="none"
            )
        return supremix(
            f,
            y,
            own[2],
            temperature=config.temperature,
            window=config.window,
            max_mix_positives=config.mixed,
        )

    given = (
        programs.picks(keys[3], config.steps, config.batch, config.train),
        jax.random.split(keys[4], config.steps),
    )
    params, _ = programs.trained(loss, optax.adam(config.rate), net, given)
    f = embed(params, test.inputs)
    if arm == L1:
        angles = dense_nets.dense(params[-1:], jax.nn.relu(f))[:, 0]
    else:
        f = unit_rows(f)
        train = small_data.noisy(keys[5], clean, config.noise)
        angles = _probed(unit_rows(embed(params, train.inputs)), train.labels, f)
    error = DEGREES * jnp.mean(jnp.abs(angles - test.labels.astype(f.dtype)))
    i, j = programs.picks(keys[6], 2, _PAIRS, len(test.labels))
    near = jnp.abs(test.labels[i] - test.labels[j])
    apart = jnp.linalg.norm(f[i] - f[j], axis=1)
    return {"error": error, "near": near, "alike": apart}


def _probed(x: jax.Array, y: jax.Array, test: jax.Array) -> jax.Array:
    """What a ridge regression of centred labels gives for other embeddings."""
    y = y.astype(x.dtype)
    middle, mean = jnp.mean(x, axis=0), jnp.mean(y)
    a = x - middle
    gram = a.T @ a + 1e-3 * jnp.eye(x.shape[1])
    weights = jnp.linalg.solve(gram, a.T @ (y - mean))
    return mean + (test - middle) @ weights
