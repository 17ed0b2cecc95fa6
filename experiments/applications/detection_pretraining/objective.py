"""The loss of a set of detections, its assignment, and one step of training."""

from __future__ import annotations

import functools
import itertools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments.applications.detection_pretraining.detector import (
    GRID,
    NOTHING,
    TOKENS,
    Found,
    Shape,
    decode,
    encode,
    enhance,
)
from jaxopt_lab.losses import cross_entropy, info_nce

TEMPERATURE = 0.2
_BOXES, _NOTHING = 5.0, 0.3  # weights of the boxes, and of queries without an object


class Batch(NamedTuple):
    """Examples.

    Attributes:
      tokens: ``(B, tokens, pixels)``.
      boxes: in sides of the image, ``(B, n, 3)``.
      labels: ``(B, n)``, -1 where there is no object.
      objects: embeddings of the objects, ``(B, n, width)``.
    """

    tokens: Any
    boxes: Any
    labels: Any
    objects: Any


class Weights(NamedTuple):
    """Weights of the losses of pre-training; all 0: of boxes and classes alone.

    Attributes:
      distance: of alignment by the L1 distance.
      contrast: of alignment by InfoNCE.
      enhanced: of all losses of the same decoder behind mutual enhancement, which are
        added to those without (the siamese head).
    """

    distance: Any = 0.0
    contrast: Any = 0.0
    enhanced: Any = 0.0


def assignment(costs: jax.Array) -> jax.Array:
    """The cheapest assignment of objects to different queries, by enumeration.

    It is the result of the Hungarian method, inside a compiled program: there are
    1,680 ways to give 8 queries to 4 objects.

    Args:
      costs: ``(B, queries, objects)``, at least as many queries as objects.

    Returns:
      The query of each object, ``(B, objects)``.

    >>> assignment(jnp.array([[[1.0, 0.0], [3.0, 1.0]]])).tolist()
    [[0, 1]]
    """
    queries, objects = costs.shape[1:]
    ways = np.array(list(itertools.permutations(range(queries), objects)), np.int32)
    sums = sum(costs[:, ways[:, i], i] for i in range(objects))
    return jnp.asarray(ways)[jnp.argmin(sums, axis=1)]


def set_loss(found: Found, batch: Batch, weights: Weights) -> jax.Array:
    """Classes, boxes, objectness and alignment after the cheapest assignment.

    Args:
      found: output of the decoder.
      batch: what there is.
      weights: of alignment.

    Returns:
      The loss.
    """
    here = batch.labels >= 0
    labels = jnp.maximum(batch.labels, 0)
    count = jnp.maximum(jnp.sum(here), 1)
    logs = jax.nn.log_softmax(found.logits)
    told = jnp.take_along_axis(logs, labels[:, None], axis=2)
    apart = found.boxes[:, :, None] - batch.boxes[:, None]
    costs = _BOXES * jnp.sum(jnp.abs(apart), axis=-1) - told
    costs = jax.lax.stop_gradient(jnp.where(here[:, None], costs, 0.0))
    owner = assignment(costs)
    hit = (owner[..., None] == jnp.arange(found.logits.shape[1])) & here[..., None]
    taken = jnp.any(hit, axis=1)
    wanted = jnp.where(taken, jnp.sum(hit * labels[..., None], axis=1), NOTHING)
    each = jnp.where(taken, 1.0, _NOTHING)
    classes = jnp.sum(each * cross_entropy(found.logits, wanted)) / jnp.sum(each)
    of_owner = lambda x: jnp.take_along_axis(x, owner[..., None], axis=1)
    mean = lambda x: jnp.sum(jnp.where(here, x, 0.0)) / count
    boxes = mean(jnp.sum(jnp.abs(of_owner(found.boxes) - batch.boxes), axis=-1))
    place = jnp.clip((batch.boxes[..., :2] * GRID).astype(jnp.int32), 0, GRID - 1)
    place = place[..., 0] * GRID + place[..., 1]
    there = (place[..., None] == jnp.arange(TOKENS)) & here[..., None]
    targets = 1.0 * jnp.any(there, axis=1)
    tokens = optax.sigmoid_binary_cross_entropy(found.objectness, targets)
    z, o = of_owner(found.embeddings), batch.objects
    distance = mean(jnp.mean(jnp.abs(z - o), axis=-1))
    flat = lambda x: x.reshape(-1, x.shape[-1])
    pairs = info_nce(
        flat(z), flat(o), temperature=TEMPERATURE, where=1.0 * here.ravel()
    )
    # Both directions, each multiplied by twice the temperature.
    contrast = 4 * TEMPERATURE * jnp.sum(pairs) / count
    alignment = weights.distance * distance + weights.contrast * contrast
    return classes + _BOXES * boxes + jnp.sum(tokens) / count + alignment


@functools.cache
def stepper(shape: Shape, effort: int) -> tuple[Any, Any]:
    """Programs that train detectors of several seeds at once.

    One program serves all weights, which costs the steps without enhancement a second
    pass of the decoder: compiling another one would cost more.

    Args:
      shape: of the detectors.
      effort: of the compiler, from 0: quickly compiled; 1 runs faster.

    Returns:
      ``start(params) -> state`` of the optimizer, and ``step(params, state, batch,
      weights, rate) -> (params, state, loss)``; all but the last two arguments with an
      axis of seeds in front.
    """
    tx = optax.flatten(
        optax.chain(optax.clip_by_global_norm(1.0), optax.scale_by_adam())
    )

    def one(params: Any, state: Any, batch: Batch, weights: Weights, rate: Any):
        def objective(params: Any) -> jax.Array:
            memory, here = encode(params, batch.tokens, shape), batch.labels >= 0
            better, nearest = enhance(params, batch.objects, here, memory, shape)

            def loss(memory: jax.Array, nearest: jax.Array) -> jax.Array:
                found = decode(params, memory, shape, nearest)
                return set_loss(found, batch, weights)

            both = (memory, better), (jnp.ones_like(nearest), nearest)
            plain, enhanced = jax.vmap(loss)(*map(jnp.stack, both))
            return plain + weights.enhanced * enhanced

        loss, grads = jax.value_and_grad(objective)(params)
        updates, state = tx.update(grads, state, params)
        params = jax.tree.map(lambda p, u: p - rate * u, params, updates)
        return params, state, loss

    step = jax.vmap(one, in_axes=(0, 0, 0, None, None))
    return jax.jit(jax.vmap(tx.init)), jax.jit(step, compiler_options=_level(effort))


@functools.cache
def finder(shape: Shape, effort: int) -> Any:
    """A program that detects, without embeddings of objects.

    Args:
      shape: of the detectors.
      effort: of the compiler, from 0: quickly compiled; 1 runs faster.

    Returns:
      ``find(params, tokens) -> (probabilities, boxes)``; an axis of seeds in front.
    """

    def one(params: Any, tokens: jax.Array) -> tuple[jax.Array, jax.Array]:
        found = decode(params, encode(params, tokens, shape), shape)
        return jax.nn.softmax(found.logits), found.boxes

    return jax.jit(jax.vmap(one), compiler_options=_level(effort))


def _level(effort: int) -> dict[str, int]:
    return {"xla_backend_optimization_level": effort}
