"""Small problems with every kind of tree that a method meets."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

Tree = Any

# The many steps that run op by op trace each loss once; programs have it inlined.
_loss = functools.partial(jax.jit, inline=True)


def floats(tree: Tree, dtype: Any) -> Tree:
    """A tree of numpy arrays or Python floats as numpy arrays of one type."""
    return jax.tree.map(lambda x: np.asarray(x, dtype), tree)


# Three leaves are enough for global norms, products and per-leaf statistics, and
# keep every trace short.
_W = np.array([[0.4, -0.8], [1.1, 0.3], [-0.6, 0.9]])
_X = np.array([[0.5, -0.2, 1.0], [-0.7, 0.4, 0.3], [0.9, 0.8, -0.5], [0.1, -1.1, 0.6]])
_S = np.array([1.0, 0.6, 1.4, 0.8])


@_loss
def product(params: Tree, batch: Tree) -> jax.Array:
    """``mean_i s_i (a b + sum_j sin(x_i . w_j))``, every special case in one loss.

    ``s = 0`` makes all gradients zero; ``b = 0`` makes the gradient of ``a`` alone
    zero; at zero parameters the gradient of ``w`` is not zero.
    """
    waves = jnp.sum(jnp.sin(batch["x"] @ params["w"]), axis=1)
    return jnp.mean(batch["s"] * (params["a"] * params["b"] + waves))


def params(dtype: Any = jnp.float64) -> Tree:
    """A generic point of ``product``."""
    return floats({"a": 0.7, "b": -1.3, "w": _W}, dtype)


def batch(dtype: Any = jnp.float64) -> Tree:
    """Four examples of ``product``; the devices and shards cut them evenly."""
    return floats({"x": _X, "s": _S}, dtype)


@_loss
def waves(params: Tree, batch: Tree) -> jax.Array:
    """A loss of any tree that works leaf by leaf, so that shardings stay as they are.

    Also right for ``None``, scalar, empty and zero-size leaves.
    """
    total = jnp.sum(jnp.zeros_like(batch))
    for i, leaf in enumerate(jax.tree.leaves(params)):
        total += (jnp.sum(jnp.sin(leaf + 0.3 * (i + 1)))).astype(batch.dtype)
    return jnp.mean(batch) * total


TREES: dict[str, Tree] = {
    "mixed": {
        "scalar": 0.5,
        "deep": [{"a": ({"b": [np.linspace(-1.0, 1.0, 5)]},)}, (np.ones((2, 3)),)],
        "kernel": np.linspace(-0.9, 1.1, 24).reshape(1, 2, 3, 4),
        "no rows": np.zeros((0, 3)),
        "nothing": {},
    },
    "bare array": np.array([0.3, -0.4]),
    "empty": {},
}

WITH_NONE: Tree = {"w": np.array([0.3, -0.2]), "absent": None, "deep": [None, 0.5]}


@_loss
def perceptron(params: Tree, batch: Tree) -> jax.Array:
    """Squared error of a network with one hidden layer, ``one`` and ``two``."""
    out = jnp.tanh(batch["x"] @ params["one"]) @ params["two"]
    return jnp.mean((out - batch["y"]) ** 2)


SIZES = (64, 256, 32)
"""Sizes of the network on which costs are measured."""


def network(
    sizes: tuple[int, int, int], examples: int, dtype: Any
) -> tuple[Tree, Tree]:
    """Parameters and a batch for ``perceptron``."""
    draw = np.random.default_rng(0)
    inner, hidden, outer = sizes
    weights = {
        "one": draw.normal(size=(inner, hidden)) / np.sqrt(inner),
        "two": draw.normal(size=(hidden, outer)) / np.sqrt(hidden),
    }
    x = draw.normal(size=(examples, inner))
    y = np.tanh(x @ draw.normal(size=(inner, outer)))
    return floats(weights, dtype), floats({"x": x, "y": y}, dtype)


@_loss
def parabola(params: Tree, batch: Tree) -> jax.Array:
    """An ill-conditioned quadratic, 0 at 0."""
    return jnp.mean(batch) * jnp.sum(np.array([0.5, 2.0, 5.0]) * params["x"] ** 2)


@_loss
def rosenbrock(params: Tree, batch: Tree) -> jax.Array:
    """The bent valley, 0 at (1, 1)."""
    # One tensor: per-tensor trust ratios stand still where a tensor is zero.
    x, y = params["xy"]
    return jnp.mean(batch) * ((1 - x) ** 2 + 100 * (y - x**2) ** 2)


@functools.cache
def compiled_product() -> Any:
    """``product`` as one operation, which outside of ``jit`` is one program."""
    return jax.jit(lambda params, batch: product(params, batch))


@functools.cache
def gradient() -> Any:
    """Value and gradient of ``product`` as one operation."""
    return jax.jit(jax.value_and_grad(product))
