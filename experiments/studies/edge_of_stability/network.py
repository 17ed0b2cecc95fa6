"""A small smooth network and its data.

Smooth, because with ReLU a Hessian along the way is one of the present pattern of
active units only; and with the squared error, because the cross-entropy takes the
curvature down with itself at the end.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxopt_lab.data import load_digits

Data = tuple[jax.Array, jax.Array]


def digits(examples: int) -> Data:
    """The first images of the digits, standardised, and their classes as 0 and 1.

    Args:
      examples: how many.

    Returns:
      Images of shape ``(examples, 64)`` and targets of shape ``(examples, 10)``.
    """
    train = load_digits().train
    images = np.reshape(train["image"][:examples], (examples, -1))
    images = (images - images.mean(0)) / images.std()
    return jnp.asarray(images), jax.nn.one_hot(train["label"][:examples], 10)


def init(key: jax.Array, width: int) -> Any:
    """Initial parameters: variance 1 / fan-in, biases 0.

    Args:
      key: typed key.
      width: units of the hidden layers.

    Returns:
      A list of layers.
    """
    sizes = (64, width, width, 10)
    keys = jax.random.split(key, 3)
    return [
        {"kernel": jax.random.normal(k, (a, b)) / a**0.5, "bias": jnp.zeros(b)}
        for k, a, b in zip(keys, sizes, sizes[1:], strict=False)
    ]


def loss(params: Any, batch: Data) -> jax.Array:
    """Mean over the examples of half the squared distance to the target.

    Args:
      params: as ``init`` gives them.
      batch: ``(images, targets)``.

    Returns:
      Scalar.
    """
    x, target = batch
    *hidden, last = params
    for layer in hidden:
        x = jnp.tanh(x @ layer["kernel"] + layer["bias"])
    outputs = x @ last["kernel"] + last["bias"]
    return jnp.mean(jnp.sum((outputs - target) ** 2, axis=-1)) / 2
