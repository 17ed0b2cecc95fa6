"""The two tasks: digits with a dense network, Fashion-MNIST with convolutions."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import jax

from experiments.studies.fashion import fashion_mnist, pooled
from experiments.studies.samples import whole
from experiments.studies.sharpness.config import Config, TaskName
from jaxopt_lab.data import load_digits
from jaxopt_lab.lab import models
from jaxopt_lab.lab.models.configs import ConvNetConfig, MLPConfig
from jaxopt_lab.training import Functional, from_nnx


class Task(NamedTuple):
    """The whole of a set, to be split for each seed, and its network.

    Attributes:
      images: all images.
      labels: their labels.
      model: the network.
      vectorised: whether seeds and settings run in one program. XLA:CPU runs
        convolutions in a scan, or with a kernel for each seed, many times slower.
    """

    images: jax.Array
    labels: jax.Array
    model: Functional
    vectorised: bool


def load(name: TaskName, config: Config, fashion: Path | None = None) -> Task:
    """A task with its data.

    Args:
      name: the task.
      config: sizes of the networks.
      fashion: folder of Fashion-MNIST; see ``fashion_mnist``.

    Returns:
      The task.

    Raises:
      InputError: the data are not there.
    """
    if name == "digits":
        dataset = load_digits()
        mlp = MLPConfig(width=config.width, depth=config.depth)
        build = models.MODELS["mlp"].build(mlp, dataset.input_shape, 10)
        return Task(*whole(dataset), from_nnx(build), vectorised=True)
    images, labels = whole(fashion_mnist(fashion))
    images = pooled(images)
    convnet = ConvNetConfig(channels=config.channels, dense=config.dense)
    build = models.MODELS["convnet"].build(convnet, images.shape[1:], 10)
    return Task(images, labels, from_nnx(build), vectorised=False)
