"""Flatness of minima by several measures, and their landscapes."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import numpy as np

from experiments.studies.landscapes.training import Laboratory
from jaxopt_lab import curvature
from jaxopt_lab.core import trees
from jaxopt_lab.core.typing import Params
from jaxopt_lab.curvature import (
    average_direction_sharpness,
    hessian_directions,
    normalize_direction,
    random_direction,
)


class Measures(NamedTuple):
    """The minima of an optimizer; arrays with one entry for each seed.

    Attributes:
      train_loss: mean over the training examples.
      test_loss: mean over the test examples.
      test_accuracy: in 0 to 1.
      top: largest eigenvalue of the Hessian of the training loss.
      residual: bound on its error.
      noise_rise: average-direction sharpness: mean rise of the training loss where
        every weight has moved by ``noise`` (root mean square).
      filter_rise: mean rise along filter-normalised directions.
    """

    train_loss: np.ndarray
    test_loss: np.ndarray
    test_accuracy: np.ndarray
    top: np.ndarray
    residual: np.ndarray
    noise_rise: np.ndarray
    filter_rise: np.ndarray


class Cuts(NamedTuple):
    """Landscapes around the minima of an optimizer.

    Attributes:
      filter_line: losses (n, seeds times directions).
      hessian_line: losses (n, seeds), along the top eigenvector.
      filter_plane: through the minimum of the first seed.
      hessian_plane: the same, along its top two eigenvectors.
    """

    filter_line: curvature.Line
    hessian_line: curvature.Line
    filter_plane: curvature.Surface
    hessian_plane: curvature.Surface


def flatness(lab: Laboratory, params: list[Params]) -> tuple[Measures, list[Any]]:
    """Losses and sharpness of the minima of all seeds.

    Args:
      lab: the laboratory.
      params: the parameters of each seed.

    Returns:
      The measures, and the top two eigenvectors of each seed, stacked.
    """
    found, vectors = [], []
    for j, w in enumerate(params):
        train, test = (lab.batch(x[j]) for x in (lab.sample.train, lab.sample.test))
        operator = curvature.hessian(lab.loss, w, [train])
        top = curvature.top_eigenvalues(
            operator, jax.random.key(j), 2, num_steps=lab.config.lanczos_steps
        )
        vectors.append(top.vectors)
        noise = average_direction_sharpness(
            lab.loss,
            w,
            [train],
            lab.sample.measure_key[j],
            lab.config.noise * trees.count(w) ** 0.5,
            num_directions=lab.config.directions,
        )
        found.append(
            (
                float(lab.loss(w, train)),
                float(lab.loss(w, test)),
                float(lab.accuracy(w, test)),
                float(top.values[0]),
                float(top.residuals[0]),
                float(noise.value),
                _mean_rise(lab, w, _directions(lab, j, w), train),
            )
        )
    return Measures(*np.array(found).T), vectors


def cut(
    lab: Laboratory, params: list[Params], vectors: list[Any], unit_curvature: float
) -> Cuts:
    """Lines of all seeds and planes of the first.

    Args:
      lab: the laboratory.
      params: the parameters of each seed.
      vectors: the top two eigenvectors of each, stacked.
      unit_curvature: the eigenvalue that sets the unit of Hessian directions, the same
        for all optimizers: otherwise every minimum would look alike.

    Returns:
      The landscapes.
    """
    config = lab.config
    filter_steps = curvature.grid(config.filter_reach, config.points)
    hessian_steps = curvature.grid(config.hessian_reach, config.points)
    random_lines, top_lines, planes = [], [], []
    for j, w in enumerate(params):
        batches = [lab.batch(lab.sample.train[j])]
        scaled = _directions(lab, j, w)
        top = hessian_directions([unit_curvature] * 2, vectors[j], config.rise)

        def along(direction: Params, steps: Any, w: Any = w, b: Any = batches) -> Any:
            return curvature.line(lab.loss, w, direction, b, steps=steps).losses

        random_lines += [along(d, filter_steps) for d in scaled]
        top_lines.append(along(top[0], hessian_steps))
        if j == 0:
            planes = [
                curvature.plane(lab.loss, w, *pair, batches, first_steps=steps)
                for pair, steps in (
                    ((scaled[0], scaled[1]), filter_steps),
                    ((top[0], top[1]), hessian_steps),
                )
            ]
    return Cuts(
        curvature.Line(filter_steps, np.stack(random_lines, axis=1)),
        curvature.Line(hessian_steps, np.stack(top_lines, axis=1)),
        *planes,
    )


def _directions(lab: Laboratory, j: int, w: Params) -> list[Params]:
    """Filter-normalised random directions."""
    # From the seed alone, so that all optimizers share their directions.
    keys = jax.random.split(lab.sample.measure_key[j], max(lab.config.directions, 2))
    return [_direction(key, w) for key in keys]


@jax.jit
def _direction(key: jax.Array, w: Params) -> Params:
    return normalize_direction(random_direction(key, w), w)


def _mean_rise(lab: Laboratory, w: Params, scaled: list[Params], batch: Any) -> float:
    # The mean over both signs of a direction cancels the slope.
    step, rises = lab.config.filter_step, []
    for direction in scaled:
        losses = curvature.line(
            lab.loss, w, direction, [batch], steps=[-step, 0.0, step]
        ).losses
        rises.append((losses[0] + losses[2]) / 2 - losses[1])
    return float(np.mean(rises))
