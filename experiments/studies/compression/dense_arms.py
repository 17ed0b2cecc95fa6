"""Perceptrons that are trained to be cut, or cut afterwards."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
import optax

from experiments.studies import dense_nets, programs
from experiments.studies.compression.config import Config
from experiments.studies.compression.sizes import CLASSES, INPUTS, ranks, widths
from experiments.studies.programs import Labelled
from jaxopt_lab.core.functional import Functional
from jaxopt_lab.layers import (
    SubNetwork,
    extract_subnetwork,
    one_layer_ranks,
    ordered_low_rank,
    sample_layer_rank,
)
from jaxopt_lab.layers.compression.ordered_low_rank import factors
from jaxopt_lab.recipes import init_sortednet, make_sortednet_step
from jaxopt_lab.transforms.proximal_group_lasso import proximal_group_lasso

AXES = {
    "kernel_0": (None, "width"),
    "kernel_1": ("width", "width"),
    "kernel_2": ("width", None),
}


def kernels(key: jax.Array, width: int) -> dict[str, jax.Array]:
    """He's normal kernels of the perceptron."""
    sizes = INPUTS, width, width, CLASSES
    drawn = dense_nets.normals(key, *pairwise(sizes))
    return {f"kernel_{i}": w * (2 / w.shape[0]) ** 0.5 for i, w in enumerate(drawn)}


def scores(params: dict[str, jax.Array], x: jax.Array) -> jax.Array:
    """Scores of the perceptron, ``(B, 10)``."""
    for i in range(2):
        x = jax.nn.relu(x @ params[f"kernel_{i}"])
    return x @ params["kernel_2"]


def by_norm(params: dict[str, jax.Array]) -> dict[str, jax.Array]:
    """The same function with the hidden units of the largest weights first.

    Args:
      params: of ``kernels``.

    Returns:
      The kernels with units in order of the product of the norms of their weights.
    """
    made = dict(params)
    for i in range(2):
        before, after = made[f"kernel_{i}"], made[f"kernel_{i + 1}"]
        norms = jnp.linalg.norm(before, axis=0) * jnp.linalg.norm(after, axis=1)
        order = jnp.argsort(-norms)
        made[f"kernel_{i}"], made[f"kernel_{i + 1}"] = before[:, order], after[order]
    return made


def plain(
    config: Config, key: jax.Array, data: Labelled, width: int
) -> dict[str, jax.Array]:
    """A perceptron that is trained as it is.

    Args:
      config: the size of the study.
      key: of start and batches.
      data: the training set.
      width: of its hidden layers.

    Returns:
      The kernels.
    """
    keys = jax.random.split(key)
    at = programs.picks(keys[1], config.steps, config.batch, len(data.labels))

    def loss(params: Any, at: jax.Array) -> jax.Array:
        found = scores(params, data.inputs[at])
        return dense_nets.mean_cross_entropy(found, data.labels[at])

    start = kernels(keys[0], width)
    return programs.trained(loss, optax.adam(config.rate), start, at)[0]


def sorted_net(config: Config, key: jax.Array, data: Labelled) -> Any:
    """A perceptron of nested widths, those of the budgets among them.

    Args:
      config: the size of the study.
      key: of start, batches and draws.
      data: the training set.

    Returns:
      The kernels of the widest.
    """
    keys = jax.random.split(key, 3)
    at = programs.picks(keys[1], config.steps, config.batch, len(data.labels))
    network = Functional(
        lambda key: (kernels(key, config.width), {}),
        lambda params, state, x, **_: (scores(params, x), state),
    )
    shares = [*(w / config.width for w in widths(config)), 1.0]
    tx = optax.adam(config.rate)
    step = make_sortednet_step(network, tx, axes=AXES, widths=shares)
    state = init_sortednet(tx, kernels(keys[0], config.width), keys[2])

    def one(state: Any, at: jax.Array) -> Any:
        batch = {"image": data.inputs[at], "label": data.labels[at]}
        return step(state, batch)[0], None

    return jax.lax.scan(one, state, at)[0].params["model"]


def cut_widths(config: Config, params: Any, test: Labelled) -> jax.Array:
    """Accuracies of the first units, ``(budgets,)``."""
    found = []
    for width in widths(config):
        small = extract_subnetwork(params, AXES, SubNetwork(width / config.width, 1))
        found.append(dense_nets.accuracy(scores(small, test.inputs), test.labels))
    return jnp.stack(found)


def maestro(
    config: Config, key: jax.Array, data: Labelled, *, every: bool
) -> list[dict[str, jax.Array]]:
    """Layers of ordered components, with the group lasso.

    Args:
      config: the size of the study.
      key: of start, batches and draws.
      data: the training set.
      every: every layer draws a rank in each step, not one layer as published.

    Returns:
      The factors of each layer.
    """
    keys = jax.random.split(key, 3)
    at = programs.picks(keys[1], config.steps, config.batch, len(data.labels))
    start = [
        dict(zip("uv", factors(w, min(w.shape)), strict=True))
        for w in kernels(keys[0], config.width).values()
    ]
    full = [layer["u"].shape[1] for layer in start]

    def drawn(key: jax.Array) -> jax.Array:
        if every:
            t = jax.random.uniform(key, (len(full),))
            return 1 + jnp.floor(t * jnp.array(full)).astype(jnp.int32)
        return one_layer_ranks(*sample_layer_rank(key, full), full)

    def loss(params: Any, batch: Any) -> jax.Array:
        at, chosen = batch
        found = low_rank_scores(params, data.inputs[at], list(chosen))
        return dense_nets.mean_cross_entropy(found, data.labels[at])

    chosen = jax.vmap(drawn)(jax.random.split(keys[2], config.steps))
    tx = optax.chain(optax.adam(config.rate), proximal_group_lasso(config.lasso))
    return programs.trained(loss, tx, start, (at, chosen))[0]


def low_rank_scores(
    params: Sequence[dict[str, jax.Array]], x: jax.Array, chosen: Sequence[Any]
) -> jax.Array:
    """Scores of the factored perceptron.

    Args:
      params: factors of each layer.
      x: ``(B, 64)``.
      chosen: rank of each layer.

    Returns:
      ``(B, 10)``.
    """
    for i, (layer, rank) in enumerate(zip(params, chosen, strict=True)):
        n, m = layer["u"].shape[0], layer["v"].shape[1]
        apply = ordered_low_rank(n, out=m).apply
        x = apply(layer, {}, (x, rank), train=True)[0]
        x = jax.nn.relu(x) if i + 1 < len(params) else x
    return x


def cut_ranks(
    config: Config, params: Sequence[dict[str, jax.Array]], test: Labelled
) -> jax.Array:
    """Accuracies of the first components of all layers, ``(budgets,)``."""
    full = [layer["u"].shape[1] for layer in params]
    found = []
    for rank in ranks(config):
        chosen = [min(rank, most) for most in full]
        y = low_rank_scores(params, test.inputs, chosen)
        found.append(dense_nets.accuracy(y, test.labels))
    return jnp.stack(found)
