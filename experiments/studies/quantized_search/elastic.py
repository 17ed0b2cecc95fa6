"""A perceptron whose sub-networks have sizes and bits, as one compiled program."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments.studies.programs import Labelled, picks, trained
from experiments.studies.quantized_search.config import Config
from jaxopt_lab.quantize import LinearGrid, fake_quant
from jaxopt_lab.search import Choice, Integers
from jaxopt_lab.search.space import Space

DEPTH, WIDTHS, BITS = 3, (8, 16, 32), (2, 4, 8, 32)
WIDEST, PIXELS, CLASSES = max(WIDTHS), 64, 10
Architecture = Mapping[str, Any]

SPACE: Space = {
    "depth": Integers(1, DEPTH),
    **{f"width_{i}": Choice(WIDTHS) for i in range(DEPTH)},
    **{f"bits_{i}": Choice(BITS) for i in range(DEPTH)},
    "bits_head": Choice(BITS),
}
LARGEST = {"depth": DEPTH, **{f"width_{i}": WIDEST for i in range(DEPTH)}}
EIGHT = {**{f"bits_{i}": 8 for i in range(DEPTH)}, "bits_head": 8}


def active(arch: Architecture) -> list[str]:
    """The choices that matter for an architecture.

    Args:
      arch: values by name.

    Returns:
      Names.
    """
    layers = range(arch["depth"])
    return [
        "depth",
        "bits_head",
        *(f"{kind}_{i}" for kind in ("width", "bits") for i in layers),
    ]


def bit_work(arch: Architecture) -> float:
    """Bit operations of one example, weights and activations of the same bits.

    Args:
      arch: values by name.

    Returns:
      Their number.
    """
    total, before = 0.0, PIXELS
    for i in range(arch["depth"]):
        width = arch[f"width_{i}"]
        total += before * width * arch[f"bits_{i}"] ** 2
        before = width
    return total + before * CLASSES * arch["bits_head"] ** 2


MOST = math.log2(bit_work({**LARGEST, **dict.fromkeys(EIGHT, max(BITS))}))


def rounded(x: jax.Array, bits: jax.Array) -> jax.Array:
    """Values on the grid of traced bits; 32 bits are the values themselves.

    Args:
      x: any.
      bits: one of ``BITS``.

    Returns:
      The values.
    """
    every = [x if b == 32 else fake_quant(x, LinearGrid(b)) for b in BITS]
    return jnp.stack(every)[jnp.argmax(jnp.asarray(BITS) == bits)]


def outputs(params: Any, arch: Architecture, x: jax.Array, exact: bool) -> jax.Array:
    """Scores of a sub-network, in the largest shapes.

    Args:
      params: of the whole network.
      arch: traced values by name.
      x: ``(B, 64)``.
      exact: without rounding.

    Returns:
      ``(B, 10)``.
    """
    on = (lambda x, bits: x) if exact else rounded
    for i in range(DEPTH):
        open_ = jnp.arange(WIDEST) < arch[f"width_{i}"]
        kernel = jnp.where(open_, params[f"kernel_{i}"], 0)
        if i:
            # The rows behind the layer before are not of the network.
            kernel = jnp.where(jnp.any(x != 0, axis=0)[:, None], kernel, 0)
        y = on(x, arch[f"bits_{i}"]) @ on(kernel, arch[f"bits_{i}"])
        y = jax.nn.relu(y + params[f"bias_{i}"]) * open_
        x = jnp.where(i < arch["depth"], y, x) if i else y
    kernel = jnp.where(jnp.any(x != 0, axis=0)[:, None], params["head"], 0)
    bits = arch["bits_head"]
    return on(x, bits) @ on(kernel, bits) + params["head_bias"]


def initial(key: jax.Array) -> dict[str, jax.Array]:
    """Weights of the whole network.

    Args:
      key: PRNG key.

    Returns:
      Arrays by name.
    """
    sizes = [PIXELS] + [WIDEST] * DEPTH
    found = {}
    for i, (a, b) in enumerate(pairwise(sizes)):
        draw = jax.random.normal(jax.random.fold_in(key, i), (a, b))
        found[f"kernel_{i}"] = draw * (2 / a) ** 0.5
        found[f"bias_{i}"] = jnp.zeros(b)
    last = jax.random.normal(jax.random.fold_in(key, DEPTH), (WIDEST, CLASSES))
    return {**found, "head": last / WIDEST**0.5, "head_bias": jnp.zeros(CLASSES)}


def supernet(config: Config, key: jax.Array, train: Labelled) -> Any:
    """Weights that are trained with a random sub-network in every step.

    Args:
      config: the size of the study.
      key: PRNG key.
      train: the examples.

    Returns:
      The weights.
    """
    keys = jax.random.split(key, 3)
    index = picks(keys[0], config.super_steps, config.batch, train.labels.shape[0])
    places = jax.random.randint(
        keys[1], (config.super_steps, DEPTH + 1), 0, math.lcm(DEPTH, len(WIDTHS))
    )

    def loss(params: Any, batch: Any) -> jax.Array:
        index, places = batch
        arch: dict[str, Any] = {"depth": 1 + places[0] % DEPTH}
        for i in range(DEPTH):
            arch[f"width_{i}"] = jnp.asarray(WIDTHS)[places[1 + i] % len(WIDTHS)]
        arch |= dict.fromkeys(EIGHT, 32)
        scores = outputs(params, arch, train.inputs[index], exact=True)
        labels = train.labels[index]
        return jnp.mean(optax.softmax_cross_entropy_with_integer_labels(scores, labels))

    start = initial(keys[2])
    return trained(loss, optax.adam(config.rate), start, (index, places))[0]


def as_arrays(arch: Architecture) -> dict[str, Any]:
    """An architecture as numbers that a program takes.

    Args:
      arch: values by name.

    Returns:
      Whole numbers by name.
    """
    return {name: np.int32(value) for name, value in arch.items()}
