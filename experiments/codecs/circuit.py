"""A probabilistic circuit: a hidden Chow-Liu tree, in log space, fitted by EM."""
# Its examples wait for pytest --full.

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from experiments.codecs.chow_liu import breadth_first, chow_liu_tree
from jaxopt_lab.core.errors import InputError


class Circuit(NamedTuple):
    """A distribution of D symbols from 0 to C - 1.

    Each variable has a hidden one of K states; these form a tree. As a circuit: smooth
    sums over states, decomposable products over children.

    Attributes:
      parents: ``(D,)`` integers, -1 for the root.
      edges: ``(D, K, K)``, logarithms of p(state | parent's state), rows the parent's;
        those of the root are all the same row, p(state).
      leaves: ``(D, K, C)``, logarithms of p(symbol | state).
    """

    parents: NDArray[np.int64]
    edges: Any
    leaves: Any


def init_circuit(
    key: jax.Array, parents: NDArray[np.integer], *, states: int, classes: int
) -> Circuit:
    """A circuit with random probabilities near uniform ones.

    Args:
      key: of the draws.
      parents: a tree.
      states: K.
      classes: C.

    Returns:
      The circuit.

    Raises:
      InputError: the parents are no tree, or a number is below 1.

    >>> parents = np.array([-1, 0])
    >>> init_circuit(jax.random.key(0), parents, states=2, classes=3).edges.shape
    (2, 2, 2)
    """
    breadth_first(parents)
    if states < 1 or classes < 1:
        raise InputError(
            f"states and classes must be at least 1; got {states, classes}"
        )
    d, keys = len(parents), jax.random.split(key)
    shapes = (d, states, states), (d, states, classes)
    edges, leaves = (
        jax.nn.log_softmax(jax.random.normal(k, s), axis=-1)
        for k, s in zip(keys, shapes, strict=True)
    )
    root = int(np.argmin(parents))
    edges = edges.at[root].set(jnp.broadcast_to(edges[root, :1], shapes[0][1:]))
    return Circuit(np.asarray(parents, np.int64), edges, leaves)


def log_likelihood(circuit: Circuit, data: jax.Array) -> jax.Array:
    """Logarithms of the probabilities of examples, in nats.

    Args:
      circuit: the circuit.
      data: ``(N, D)``, symbols from 0 to C - 1.

    Returns:
      ``(N,)``. From the leaves to the root, a level of the tree at a time.

    >>> quarter = jnp.log(jnp.full((1, 1, 4), 0.25))
    >>> circuit = Circuit(np.array([-1]), jnp.zeros((1, 1, 1)), quarter)
    >>> (log_likelihood(circuit, jnp.array([[3]])) / jnp.log(2.0)).tolist()
    [-2.0]
    """
    variables = jnp.arange(len(circuit.parents))
    # (N, D, K): of each variable its symbol's row over the states.
    found = jnp.moveaxis(jnp.asarray(circuit.leaves), 2, 1)[variables[None], data]
    for level in reversed(_levels(circuit.parents)):
        # (N, level, K parent): the message of each to its parent.
        own = found[:, level][:, :, None, :] + jnp.asarray(circuit.edges)[level][None]
        message = jax.nn.logsumexp(own, axis=-1)
        if circuit.parents[level[0]] < 0:
            return message[:, 0, 0]
        found = found.at[:, circuit.parents[level]].add(message)
    raise AssertionError("a tree has a root")


def fit_circuit(
    key: jax.Array,
    data: NDArray[np.integer],
    *,
    classes: int,
    states: int = 8,
    steps: int = 30,
    pseudocount: float = 0.1,
) -> tuple[Circuit, NDArray[np.float64]]:
    """A hidden Chow-Liu tree of data, by expectation maximization.

    The expected counts are the derivatives of the log-likelihood with respect to the
    logarithms of the probabilities; each step normalizes them, smoothed.

    Args:
      key: of the first probabilities.
      data: ``(N, D)``, symbols from 0 to ``classes`` - 1.
      classes: C.
      states: K.
      steps: of EM.
      pseudocount: added to every expected count, above 0.

    Returns:
      The circuit, its numbers those of float32 (as it is packed), and the mean
      log-likelihood before each step, which rises but for the smoothing.

    Raises:
      InputError: the data are no symbols, or an argument is out of range.

    >>> data = np.array([[0, 0], [1, 1]] * 10)
    >>> circuit, history = fit_circuit(jax.random.key(0), data, classes=2, states=2)
    >>> bool(history[-1] > history[0])
    True
    """
    if not pseudocount > 0:
        raise InputError(f"pseudocount must be above 0; got {pseudocount}")
    check_symbols(data, classes)
    parents = chow_liu_tree(data, classes)
    circuit = init_circuit(key, parents, states=states, classes=classes)
    root = int(np.argmin(parents))
    given = jnp.asarray(data)

    def total(edges: jax.Array, leaves: jax.Array) -> jax.Array:
        return jnp.sum(log_likelihood(Circuit(parents, edges, leaves), given))

    def normalized(counts: jax.Array) -> jax.Array:
        counts = counts + pseudocount
        return jnp.log(counts) - jnp.log(jnp.sum(counts, axis=-1, keepdims=True))

    def step(carry: Any, _: None) -> tuple[Any, jax.Array]:
        value, (edges, leaves) = jax.value_and_grad(total, (0, 1))(*carry)
        # Only the first row of the root is looked at.
        edges = edges.at[root].set(jnp.broadcast_to(edges[root, :1], edges.shape[1:]))
        return (normalized(edges), normalized(leaves)), value / len(data)

    run = jax.jit(lambda *carry: jax.lax.scan(step, carry, length=steps))
    (edges, leaves), history = run(circuit.edges, circuit.leaves)
    return Circuit(parents, *map(_single, (edges, leaves))), np.asarray(history)


def check_symbols(data: NDArray[np.integer], classes: int) -> None:
    """Refuse what are no symbols.

    Args:
      data: ``(N, D)``.
      classes: C.

    Raises:
      InputError: other shapes, no integers, or numbers out of range.
    """
    if data.ndim != 2 or data.dtype.kind not in "iu":
        raise InputError(
            f"data must be integers (N, D); got {data.dtype} of shape {data.shape}"
        )
    if data.size and (data.min() < 0 or data.max() >= classes):
        raise InputError(
            f"symbols must be from 0 to {classes - 1}; got {data.min()} to {data.max()}"
        )


def _levels(parents: NDArray[np.integer]) -> list[NDArray[np.int64]]:
    """Variables by their distance from the root."""
    depth: dict[int, int] = {}
    for one in breadth_first(parents):
        depth[one] = 0 if parents[one] < 0 else depth[int(parents[one])] + 1
    return [
        np.asarray([i for i, own in depth.items() if own == n])
        for n in range(max(depth.values()) + 1)
    ]


def _single(x: jax.Array) -> NDArray[np.float32]:
    return np.asarray(x, np.float32)
