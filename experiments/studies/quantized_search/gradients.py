"""Operations and bits of two edges by gradients, with noise or with rounding."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments.studies.dense_nets import accuracy
from experiments.studies.programs import Labelled, picks, trained
from experiments.studies.quantized_search.config import Config
from jaxopt_lab.quantize import LinearGrid, fake_quant
from jaxopt_lab.search import (
    edge_bit_operations,
    entropy_weight,
    mixed_operations,
    quant_search,
)

BITS, EDGES, WIDTH, BLOCKS = (2, 4, 8), 2, 32, 4
MACS = (float(WIDTH * WIDTH), float(WIDTH * WIDTH // BLOCKS), 0.0)
DIRECT = ("noise", "rounding")


def _dense(w: Any, x: jax.Array) -> jax.Array:
    return jax.nn.relu(x @ w)


def _blocks(w: Any, x: jax.Array) -> jax.Array:
    parts = x.reshape(-1, BLOCKS, WIDTH // BLOCKS)
    return jax.nn.relu(jnp.einsum("nbi,bij->nbj", parts, w).reshape(x.shape))


OPS = (_dense, _blocks, lambda w, x: x)


def initial(key: jax.Array) -> dict[str, Any]:
    """Weights of stem, edges and head.

    Args:
      key: PRNG key.

    Returns:
      Arrays by name; of each edge one array an operation.
    """
    keys = iter(jax.random.split(key, 2 + 2 * EDGES))
    draw = lambda *s: jax.random.normal(next(keys), s) * (2 / s[-2]) ** 0.5
    own = WIDTH // BLOCKS
    edges = [[draw(WIDTH, WIDTH), draw(BLOCKS, own, own)] for _ in range(EDGES)]
    return {"stem": draw(64, WIDTH), "edges": edges, "head": draw(WIDTH, 10)}


def rounded_operations(
    x: jax.Array, weights: Any, logits: jax.Array, bits: tuple[int, ...]
) -> jax.Array:
    """An edge of all operations, rounded to each bit width, straight through.

    Args:
      x: the input.
      weights: of the operations.
      logits: ``(operations, bit widths)``.
      bits: the bit widths.

    Returns:
      The output.
    """
    shares = jax.nn.softmax(logits.ravel()).reshape(logits.shape)
    total = jnp.zeros_like(x)
    for i, (op, w) in enumerate(zip(OPS, weights, strict=True)):
        for j, b in enumerate(bits):
            grid = LinearGrid(b)
            coarse = None if w is None else fake_quant(w, grid)
            total = total + shares[i, j] * op(coarse, fake_quant(x, grid))
    return total


def _loss(scores: jax.Array, labels: jax.Array) -> jax.Array:
    return jnp.mean(optax.softmax_cross_entropy_with_integer_labels(scores, labels))


def searched(
    config: Config, kind: str, cost: jax.Array, key: jax.Array, train: Labelled
) -> jax.Array:
    """Logits of all edges after a search.

    Args:
      config: the size of the study.
      kind: one of ``DIRECT``.
      cost: weight of the expected bit operations over the most there are.
      key: PRNG key.
      train: examples; the second half is that of the logits.

    Returns:
      ``(edges, operations, bit widths)``.
    """
    keys = jax.random.split(key, 3)
    most = EDGES * MACS[0] * max(BITS) ** 2

    def loss(params: Any, logits: Any, index: jax.Array, key: jax.Array) -> jax.Array:
        x = jax.nn.relu(train.inputs[index] @ params["stem"])
        for i in range(EDGES):
            weights = (*params["edges"][i], None)
            if kind == "noise":
                own = jax.random.fold_in(key, i)
                x = mixed_operations(own, x, weights, logits[i], OPS, BITS)
            else:
                x = rounded_operations(x, weights, logits[i], BITS)
        return _loss(x @ params["head"], train.labels[index])

    def costs(logits: Any) -> jax.Array:
        every = [edge_bit_operations(z, MACS, BITS) for z in logits]
        return cost * sum(every[1:], every[0]) / most

    search = quant_search(
        loss,
        optax.adam(config.rate),
        optax.adam(config.logits_rate, b1=0.5),
        cost_fn=costs,
        cost_weight=1.0,
        entropy=1e-2,
    )
    logits = [jnp.zeros((len(OPS), len(BITS))) for _ in range(EDGES)]
    steps = config.search_steps
    weights = np.array(
        [entropy_weight(e, steps, warmup=config.warmup) for e in range(steps)]
    )
    half = train.labels.shape[0] // 2
    index = picks(keys[0], steps, 2 * config.batch, half)
    index = index + jnp.where(jnp.arange(2 * config.batch) < config.batch, 0, half)

    def step(state: Any, each: Any) -> Any:
        number, index, weight = each
        batch, held = jnp.split(index, 2)
        own = jax.random.fold_in(keys[1], number)
        searching = number >= config.warmup
        return search.step(state, batch, held, own, weight, searching)[0], None

    start = search.init(initial(keys[2]), logits)
    each = (jnp.arange(steps), index, jnp.asarray(weights, jnp.float32))
    state, _ = jax.lax.scan(step, start, each)
    return jnp.stack(state.logits)


def retrained(
    config: Config, logits: jax.Array, key: jax.Array, train: Labelled, test: Labelled
) -> tuple[jax.Array, jax.Array]:
    """Accuracy of the chosen network, trained anew with rounding, and its work.

    Args:
      config: the size of the study.
      logits: of ``searched``.
      key: PRNG key.
      train: the examples.
      test: those of the accuracy.

    Returns:
      Two numbers; the work is the bit operations of the edges.
    """
    best = jnp.argmax(logits.reshape(EDGES, -1), axis=1)
    hot = jax.nn.one_hot(best, len(OPS) * len(BITS))
    work = jnp.repeat(jnp.asarray(MACS), len(BITS)) * jnp.tile(
        jnp.square(jnp.asarray(BITS, jnp.float32)), len(OPS)
    )
    keys = jax.random.split(key)

    def scores(params: Any, x: jax.Array) -> jax.Array:
        x = jax.nn.relu(x @ params["stem"])
        for i in range(EDGES):
            weights = (*params["edges"][i], None)
            sure = jnp.log(hot[i]).reshape(len(OPS), len(BITS))
            x = rounded_operations(x, weights, sure, BITS)
        return x @ params["head"]

    def loss(params: Any, index: jax.Array) -> jax.Array:
        return _loss(scores(params, train.inputs[index]), train.labels[index])

    index = picks(keys[0], config.retrain_steps, config.batch, train.labels.shape[0])
    params, _ = trained(loss, optax.adam(config.rate), initial(keys[1]), index)
    return accuracy(scores(params, test.inputs), test.labels), jnp.sum(hot @ work)
